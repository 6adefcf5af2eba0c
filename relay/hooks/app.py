"""The public listener: one request from its first byte to its answer, top to bottom."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from relay.errors import Overloaded, Refused, Rejected, Retryable, Unavailable
from relay.hooks.answer import answer, later, problem, refusal, reply
from relay.hooks.body import receive, take
from relay.hooks.caller import Network, find_remote, find_url
from relay.hooks.decode import decode
from relay.hooks.hook import Fetch, Hook, Intake, Learn
from relay.hooks.prove import prove
from relay.hooks.quiet import QuietServer
from relay.hooks.refusals import UNKNOWN, Refusals
from relay.model import Ids, Rejection
from relay.schemes import NOTHING, Greeting, Headers, Request, Scheme
from relay.telemetry import Metrics, get_log

log = get_log()

_PREFIX: Final = "/hooks/"
_RETRY_AFTER: Final = 5.0
_RETRY_PAUSED: Final = 30.0
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
    trusted_proxies: Sequence[Network] = (),
) -> web.BaseRunner:
    """What serves `POST /hooks/{source}`, its vendors' handshakes, and nothing else; to be called inside a loop.

    `max_body` is bytes, before and after inflating; `clock` gives milliseconds since the epoch. `hooks` may change
    while running. `reject` keeps a refused request; it may fail, and never holds up an answer. Bodies stay as they were
    signed. Shutting down takes about 10 s.

    It is aiohttp's server without its application: there is one path, and choosing a route costs more than verifying.
    """
    refusals = Refusals(reject, ids, metrics)
    door = Door(
        hooks,
        intake,
        refusals,
        max_body,
        ids,
        clock,
        public_url,
        tuple(trusted_proxies),
        paused=paused,
        draining=draining,
        fetch=fetch,
        learn=learn,
    )
    server = QuietServer(
        door.take, most=max_body, access_log=None, auto_decompress=False, keepalive_timeout=75.0, lingering_time=5.0
    )
    return _Runner(server, refusals)


class _Runner(web.ServerRunner):
    """Serves, and at the end waits for what is being written of refusals."""

    __slots__ = ("_refusals",)

    def __init__(self, server: web.Server, refusals: Refusals) -> None:
        super().__init__(server, shutdown_timeout=10.0)
        self._refusals = refusals

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._refusals.close()


class Door:
    """Answers a request: verified raw, then parsed, then committed."""

    def __init__(
        self,
        hooks: Mapping[str, Hook],
        intake: Intake,
        refusals: Refusals,
        most: int,
        ids: Ids,
        clock: Callable[[], int],
        public_url: str | None,
        trusted: Sequence[Network],
        *,
        paused: Callable[[str], bool],
        draining: Callable[[], bool],
        fetch: Fetch,
        learn: Learn,
    ) -> None:
        self._hooks = hooks
        self._intake = intake
        self._refusals = refusals
        self._most = most
        self._ids = ids
        self._clock = clock
        self._public_url = public_url
        self._trusted = trusted
        self._paused = paused
        self._draining = draining
        self._fetch = _bounded(fetch)
        self._learn = learn

    async def take(self, http: web.BaseRequest) -> web.Response:
        """`/hooks/{source}`, or what is no source."""
        path = http.path
        name = path[len(_PREFIX) :] if path.startswith(_PREFIX) else ""
        hook = self._hooks.get(name)
        if hook is None:
            return self._turn_away(http)
        if self._draining():
            return self._wait(name, "draining", "the relay is stopping; send it again to the next one", _RETRY_AFTER)
        if self._paused(name):
            return self._wait(name, "paused", "this source is paused; send it again later", _RETRY_PAUSED)
        body = b""
        try:
            _require_method(http, hook.scheme)
            whole = take(http, self._most)
            body = await receive(http, self._most) if whole is None else whole
            return await self._take(hook, self._request(hook, http, body))
        except Rejected as error:
            return await self._refuse(hook, http, body, error)
        except Refused as error:
            wrong = Rejected(str(error), status=400, reason="refused", hint="the ledger cannot hold this event")
            return await self._refuse(hook, http, body, wrong)
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

    def _turn_away(self, http: web.BaseRequest) -> web.Response:
        """404 for whatever is no source; the path goes to the log only."""
        error = Rejected(
            "there is nothing here; events are posted to /hooks/{source}",
            status=404,
            reason="unknown_source",
            hint=f"no webhook source answers at {http.path[:200]!r}: compare the address set at the sender",
        )
        self._refusals.tell(error, UNKNOWN, find_remote(http, self._trusted))
        return refusal(error, None)

    async def _take(self, hook: Hook, request: Request) -> web.Response:
        """Greeted, or verified, parsed and committed."""
        scheme = hook.scheme.of(request)
        greeting, evidence = scheme.greet(request, proved=False), NOTHING
        if greeting is None:
            evidence = await prove(scheme, request, self._fetch)
            greeting = scheme.greet(request, proved=True)
        if greeting is not None:
            return await self._greet(hook, greeting)
        _require_post(request)
        events = decode(hook, scheme, request, ids=self._ids, evidence=evidence)
        receipts = await self._intake.accept(events) if events else []
        said = scheme.reply(request)
        return answer(receipts) if said is None else reply(said)

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
        return Request(
            http.method, url, headers, body, self._clock(), self._most, hook.scheme.lists, hook.scheme.bodies
        )

    async def _refuse(self, hook: Hook, http: web.BaseRequest, body: bytes, error: Rejected) -> web.Response:
        remote = find_remote(http, self._trusted)
        await self._refusals.refuse(hook, self._request(hook, http, body), error, remote)
        return refusal(error, hook.scheme.challenge, hook.scheme.methods)

    def _wait(self, name: str, reason: str, detail: str, seconds: float) -> web.Response:
        self._refusals.count(name, reason)
        return later(reason, detail, seconds)


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
