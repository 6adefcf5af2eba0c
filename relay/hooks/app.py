"""The public listener: one request from its first byte to its answer, top to bottom."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast

from aiohttp import web

from relay.effort import Aside
from relay.errors import Overloaded, Refused, Rejected, Retryable, Unavailable
from relay.hooks.answer import answer, later, problem, refusal, reply
from relay.hooks.body import receive, take
from relay.hooks.caller import find_remote, find_url
from relay.hooks.connection import Connection, Crowded
from relay.hooks.crowd import Cap, Crowd
from relay.hooks.decode import decode
from relay.hooks.hook import Fetch, Hook, Intake, Learn
from relay.hooks.permit import permit
from relay.hooks.prove import prove
from relay.hooks.quiet import QuietServer
from relay.hooks.quota import Quotas
from relay.hooks.refusals import PREFIX, UNKNOWN, Refusals
from relay.hooks.strangers import Strangers
from relay.hooks.unread import Unread
from relay.limits import party_of
from relay.model import Event, Ids, Receipt, Rejection
from relay.schemes import NOTHING, Greeting, Headers, Request, Scheme
from relay.telemetry import Metrics, get_log
from relay.units import Rate

log = get_log()

_RETRY_AFTER: Final = 5.0
_RETRY_PAUSED: Final = 30.0
_BUFFER: Final = 64 << 10
"""Twice as many bytes of a body wait for their reader before the sender has to."""
_MOST_FETCHES: Final = 4
_MOST_ASKING: Final = 32
"""At once, and in all: a flood of forged requests must not become one to a vendor, nor wait here with its bodies."""


def make_runner(
    hooks: Mapping[str, Hook],
    intake: Intake,
    *,
    max_body: int,
    ids: Ids,
    clock: Callable[[], int],
    metrics: Metrics,
    public_url: str | None,
    reject: Callable[[Rejection], Awaitable[None]],
    paused: Callable[[str], bool],
    draining: Callable[[], bool],
    fetch: Fetch,
    learn: Learn,
    crowd: Crowd,
    limit_refused: Rate | None = None,
    monotonic: Callable[[], float] = lambda: time.monotonic() * 1_000,
) -> web.BaseRunner:
    """What serves `POST /hooks/{source}`, its vendors' handshakes, and nothing else; to be called inside a loop.

    `max_body` is bytes, before and after inflating; `clock` gives milliseconds since the epoch, `monotonic` on a clock
    that goes forward. `hooks` may change while running. `reject` keeps a refused request; it may fail, and never holds
    up an answer. `crowd` bounds what connections hold; `limit_refused` is how many refused requests of one address are
    borne. Bodies stay as they were signed. Shutting down takes about 10 s.

    It is aiohttp's server without its application: there is one path, and choosing a route costs more than verifying.
    """
    refusals = Refusals(reject, ids, metrics)
    door = Door(
        hooks,
        intake,
        refusals,
        crowd,
        max_body,
        ids,
        clock,
        public_url,
        strangers=Strangers(limit_refused, monotonic),
        quotas=Quotas(monotonic),
        paused=paused,
        draining=draining,
        fetch=fetch,
        learn=learn,
    )
    crowd.report = door.report
    server = QuietServer(
        door.take,
        crowd,
        most=max_body,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=75.0,
        lingering_time=crowd.caps.linger,
        read_bufsize=_BUFFER,
    )
    return _Runner(server, door, refusals)


class _Runner(web.ServerRunner):
    """Serves, and at the end waits for what is being written of refusals."""

    __slots__ = ("_door", "_refusals")

    def __init__(self, server: web.Server, door: "Door", refusals: Refusals) -> None:
        super().__init__(server, shutdown_timeout=10.0)
        self._door = door
        self._refusals = refusals

    async def cleanup(self) -> None:
        await super().cleanup()
        self._door.close()
        await self._refusals.close()


class Door:
    """Answers a request: verified raw, then parsed, then committed."""

    def __init__(
        self,
        hooks: Mapping[str, Hook],
        intake: Intake,
        refusals: Refusals,
        crowd: Crowd,
        most: int,
        ids: Ids,
        clock: Callable[[], int],
        public_url: str | None,
        *,
        strangers: Strangers,
        quotas: Quotas,
        paused: Callable[[str], bool],
        draining: Callable[[], bool],
        fetch: Fetch,
        learn: Learn,
    ) -> None:
        self._hooks = hooks
        self._intake = intake
        self._refusals = refusals
        self._crowd = crowd
        self._most = most
        self._ids = ids
        self._clock = clock
        self._public_url = public_url
        self._trusted = crowd.trusted
        self._strangers = strangers
        self._quotas = quotas
        self._paused = paused
        self._draining = draining
        self._fetch = _bounded(fetch)
        self._learn = learn
        self._strange, self._proved = Aside("unproved"), Aside("proved")

    def close(self) -> None:
        """Nothing is read aside any more."""
        self._strange.close()
        self._proved.close()

    async def take(self, http: web.BaseRequest) -> web.Response:
        """`/hooks/{source}`, or what is no source."""
        path = http.path
        name = path[len(PREFIX) :] if path.startswith(PREFIX) else ""
        hook = self._hooks.get(name)
        connection = cast(Connection, http.protocol)
        if self._trusted:
            connection.name(party_of(find_remote(http, self._trusted)))
        label = UNKNOWN if hook is None else name
        if wait := self._strangers.wait(label, connection.party):
            # before anything of it is read, kept or logged: that is what a flood of refusals costs
            self._crowd.pressure.tell(Cap.REFUSALS, connection.party)
            return self._slow_down(label, "refusals", "too many requests from this address were refused", wait)
        if hook is None:
            return self._turn_away(http, connection)
        if self._draining():
            return self._wait(name, "draining", "the relay is stopping; send it again to the next one", _RETRY_AFTER)
        if self._paused(name):
            return self._wait(name, "paused", "this source is paused; send it again later", _RETRY_PAUSED)
        return await self._answer(hook, http, connection)

    def report(self, unread: Unread, party: str) -> None:
        """A request that the server could not read: it is answered already, and shown with the refused ones."""
        name = unread.path[len(PREFIX) :] if unread.path.startswith(PREFIX) else ""
        label = name if name in self._hooks else UNKNOWN
        self._refusals.count(label, "malformed")
        if label != UNKNOWN and not self._strangers.wait(label, party):
            self._refusals.write_unread(unread, label, party, self._clock())
        self._strangers.refused(label, party)

    async def _answer(self, hook: Hook, http: web.BaseRequest, connection: Connection) -> web.Response:
        """What became of a request for this source."""
        body = b""
        try:
            if hook.bounds.restricted:
                permit(http, hook.bounds, self._remote(http), self._trusted)
            _require_method(http, hook.scheme)
            self._quotas.enter(hook, connection)
            body = await self._receive(hook, http, connection)
            return await self._take(hook, self._request(hook, http, body), connection.party)
        except Rejected as error:
            return await self._refuse(hook, http, body, error, connection.party)
        except Refused as error:
            wrong = Rejected(str(error), status=400, reason="refused", hint="the ledger cannot hold this event")
            return await self._refuse(hook, http, body, wrong, connection.party)
        except Crowded:
            detail = "too much is being received at once; send it again later"
            return self._wait(hook.name, "in_flight", detail, _RETRY_AFTER)
        except _Limited as limited:
            return self._slow_down(hook.name, "limit", "this source has a limit; send it again later", limited.wait)
        except Overloaded as error:
            return self._wait(hook.name, "overloaded", "too much is unfinished; send it again later", error.retry_after)
        except Unavailable:
            return self._wait(hook.name, "unavailable", "this cannot be kept now; send it again later", _RETRY_AFTER)
        except Retryable as error:
            log.warning("vendor.unreachable", source=hook.name, error=str(error))
            return self._wait(hook.name, "vendor", "the sender's own address does not answer", _RETRY_AFTER)
        except Exception:
            log.exception("request.failed", source=hook.name)
            return problem(500, "failed", "the relay failed at this request; send it again")

    def _remote(self, http: web.BaseRequest) -> str | None:
        return find_remote(http, self._trusted)

    def _most_of(self, hook: Hook) -> int:
        return hook.bounds.body or self._most

    async def _receive(self, hook: Hook, http: web.BaseRequest, connection: Connection) -> bytes:
        if connection.crowded:
            raise Crowded
        most = self._most_of(hook)
        whole = take(http, most)
        return await receive(http, connection, most) if whole is None else whole

    def _turn_away(self, http: web.BaseRequest, connection: Connection) -> web.Response:
        """404 for whatever is no source; the path, and what it may have meant, go to the log and the ledger only."""
        self._strangers.refused(UNKNOWN, connection.party)
        return refusal(self._refusals.miss(http, self._hooks, self._clock(), self._remote(http)), None)

    async def _take(self, hook: Hook, request: Request, party: str) -> web.Response:
        """Greeted, or verified, parsed and committed."""
        scheme, greeting = await self._strange.run(lambda: _open(hook.scheme, request))
        evidence = NOTHING
        if greeting is None:
            evidence = await prove(scheme, request, self._fetch, self._strange)
            self._strangers.proved(hook.name, party)
            greeting = await self._proved.run(lambda: scheme.greet(request, proved=True))
        if greeting is not None:
            return await self._greet(hook, greeting)
        _require_post(request)
        events = await self._proved.run(lambda: decode(hook, scheme, request, ids=self._ids, evidence=evidence))
        receipts = await self._commit(hook, events) if events else []
        said = scheme.reply(request)
        return answer(receipts) if said is None else reply(said)

    async def _commit(self, hook: Hook, events: list[Event]) -> list[Receipt]:
        """Past the source's limit only what is known already is answered. Raises `_Limited`."""
        wait = self._quotas.wait(hook)
        if not wait:
            return await self._intake.accept(events)
        receipts = await self._intake.known(events)
        if receipts is None:
            raise _Limited(wait)
        return receipts

    async def _greet(self, hook: Hook, greeting: Greeting) -> web.Response:
        if greeting.learn is not None and not await self._learn(hook.name, greeting.learn):
            raise Rejected(
                "this address has a secret already",
                status=403,
                reason="handshake_taken",
                hint=f"a second handshake came; is it the vendor's? Then run `relay forget {hook.name}` and try again",
            )
        if greeting.confirm is not None:
            await self._fetch(greeting.confirm)
        log.info("handshake.answered", source=hook.name, handshake=greeting.name)
        return reply(greeting.reply)

    def _request(self, hook: Hook, http: web.BaseRequest, body: bytes) -> Request:
        url = find_url(http, self._public_url, self._trusted)
        headers = Headers(http.headers)
        most, made = self._most_of(hook), hook.scheme
        return Request(http.method, url, headers, body, self._clock(), most, made.lists, made.bodies)

    async def _refuse(
        self, hook: Hook, http: web.BaseRequest, body: bytes, error: Rejected, party: str
    ) -> web.Response:
        self._strangers.refused(hook.name, party)
        await self._refusals.refuse(hook, self._request(hook, http, body), error, self._remote(http))
        return refusal(error, hook.scheme.challenge, hook.scheme.methods)

    def _wait(self, name: str, reason: str, detail: str, seconds: float) -> web.Response:
        self._refusals.count(name, reason)
        return later(reason, detail, seconds)

    def _slow_down(self, name: str, reason: str, detail: str, wait: float) -> web.Response:
        self._refusals.count(name, reason)
        return later(reason, detail, wait / 1_000, status=429)


def _open(scheme: Scheme, request: Request) -> tuple[Scheme, Greeting | None]:
    """The scheme that judges the request, and the answer where it is a handshake that nothing proves."""
    judge = scheme.of(request)
    return judge, judge.greet(request, proved=False)


class _Limited(Exception):
    """The source has had what its limit gives; `wait` milliseconds until the next."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


def _bounded(fetch: Fetch) -> Fetch:
    few = asyncio.Semaphore(_MOST_FETCHES)
    asking = 0

    async def fetch_in_turn(url: str) -> bytes:
        nonlocal asking
        if asking >= _MOST_ASKING:
            raise Retryable("too many vendors' addresses are to be fetched at once")
        asking += 1
        try:
            async with few:
                return await fetch(url)
        finally:
            asking -= 1

    return fetch_in_turn


def _require_method(http: web.BaseRequest, scheme: Scheme) -> None:
    if http.method not in scheme.methods:
        raise _not_taken(http.method)


def _require_post(request: Request) -> None:
    if request.method != "POST":
        raise _not_taken(request.method)


def _not_taken(method: str) -> Rejected:
    return Rejected(
        f"{method[:20]} is not taken here; events are sent with POST",
        status=405,
        reason="method",
        hint="somebody opened the address in a browser, or the sender probes it",
    )
