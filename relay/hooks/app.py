"""The public listener: the way of a request from its first byte to its response, top to bottom."""

import asyncio
from collections.abc import Callable, Mapping
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
from relay.hooks.hook import Accepting, Fetch, Hook, Learn
from relay.hooks.permit import permit
from relay.hooks.prove import prove
from relay.hooks.quota import Quotas
from relay.hooks.refusals import PREFIX, UNKNOWN, Refusals
from relay.hooks.strangers import Strangers
from relay.hooks.unread import Unread
from relay.limits import party_of
from relay.model import Event, Ids, Receipt
from relay.schemes import NOTHING, Greeting, Headers, Request, Scheme
from relay.telemetry import get_log

log = get_log()

RETRY_AFTER: Final = 5.0
"""Seconds after which senders are asked to come again."""
_RETRY_PAUSED: Final = 30.0
_MOST_FETCHES: Final = 4
_MOST_ASKING: Final = 32
"""Limits of fetches that run and that wait: forged requests must not flood a vendor, nor keep bodies in memory."""


class Door:
    """Answers requests: verifies the raw bytes, then parses them, then commits the events."""

    def __init__(
        self,
        hooks: Mapping[str, Hook],
        intake: Accepting,
        refusals: Refusals,
        crowd: Crowd,
        most: int,
        ids: Ids,
        clock: Callable[[], int],
        public_url: Callable[[], str | None],
        *,
        strangers: Strangers,
        quotas: Quotas,
        paused: Callable[[str], bool],
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
        self._strangers = strangers
        self._quotas = quotas
        self._paused = paused
        self._fetch = _bounded(fetch)
        self._learn = learn
        self._strange, self._proved = Aside("unproved"), Aside("proved")

    async def close(self) -> None:
        """Stop the threads that read large bodies, and wait until refused requests are stored."""
        self._strange.close()
        self._proved.close()
        await self._refusals.close()

    async def take(self, http: web.BaseRequest) -> web.Response:
        """Answer a request to `/hooks/{source}` or to any other path."""
        path = http.path
        name = path[len(PREFIX) :] if path.startswith(PREFIX) else ""
        hook = self._hooks.get(name)
        connection = cast(Connection, http.protocol)
        if self._crowd.trusted:
            connection.name(party_of(find_remote(http, self._crowd.trusted)))
        label = UNKNOWN if hook is None else name
        if wait := self._strangers.wait(label, connection.party):
            # before anything is read, stored or logged, so that a flood of refused requests costs little
            self._crowd.pressure.tell(Cap.REFUSALS, connection.party)
            return self._slow_down(label, "refusals", "too many requests from this address were refused", wait)
        if hook is None:
            return self._turn_away(http, connection)
        if self._paused(name):
            return self._wait(name, "paused", "this source is paused; send it again later", _RETRY_PAUSED)
        return await self._answer(hook, http, connection)

    def report(self, unread: Unread, party: str) -> None:
        """Record a request that the server could not read as refused. The server has already answered it."""
        name = unread.path[len(PREFIX) :] if unread.path.startswith(PREFIX) else ""
        label = name if name in self._hooks else UNKNOWN
        self._refusals.count(label, "malformed")
        if label != UNKNOWN and not self._strangers.wait(label, party):
            self._refusals.write_unread(unread, label, party, self._clock())
        self._strangers.refused(label, party)

    async def _answer(self, hook: Hook, http: web.BaseRequest, connection: Connection) -> web.Response:
        """Take a request for this source and turn every error into a response."""
        body = b""
        try:
            if hook.bounds.restricted:
                permit(http, hook.bounds, self._remote(http), self._crowd.trusted)
            _require_method(http, hook.scheme)
            self._quotas.enter(hook, connection)
            body = await self._receive(hook, http, connection)
            return await self._take(hook, self._request(hook, http, body), connection.party)
        except Rejected as error:
            return await self._refuse(hook, http, body, error, connection.party)
        except Refused as error:
            rejection = Rejected(str(error), status=400, reason="refused", hint="the ledger cannot hold this event")
            return await self._refuse(hook, http, body, rejection, connection.party)
        except Crowded:
            detail = "too much is being received at once; send it again later"
            return self._wait(hook.name, "in_flight", detail, RETRY_AFTER)
        except _Limited as limited:
            return self._slow_down(hook.name, "limit", "this source has a limit; send it again later", limited.wait)
        except Overloaded as error:
            return self._wait(hook.name, "overloaded", "too much is unfinished; send it again later", error.retry_after)
        except Unavailable as error:
            log.warning("ledger.unavailable", part="hooks", error=str(error))
            return self._wait(hook.name, "unavailable", "events cannot be stored now; send it again later", RETRY_AFTER)
        except Retryable as error:
            log.warning("vendor.unreachable", source=hook.name, error=str(error))
            return self._wait(hook.name, "vendor", "the sender's own address does not answer", RETRY_AFTER)
        except Exception:
            log.exception("request.failed", source=hook.name)
            return problem(500, "failed", "the relay failed at this request; send it again")

    def _remote(self, http: web.BaseRequest) -> str | None:
        return find_remote(http, self._crowd.trusted)

    def _most_of(self, hook: Hook) -> int:
        return hook.bounds.body or self._most

    async def _receive(self, hook: Hook, http: web.BaseRequest, connection: Connection) -> bytes:
        if connection.crowded:
            raise Crowded
        most = self._most_of(hook)
        whole = take(http, most)
        return await receive(http, connection, most) if whole is None else whole

    def _turn_away(self, http: web.BaseRequest, connection: Connection) -> web.Response:
        """404 for a path without a source. The path and a suggestion go only to the log and the ledger."""
        self._strangers.refused(UNKNOWN, connection.party)
        return refusal(self._refusals.miss(http, self._hooks, self._clock(), self._remote(http)), None)

    async def _take(self, hook: Hook, request: Request, party: str) -> web.Response:
        """Answer a handshake, or verify, parse and commit a request."""
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
        vendor_reply = scheme.reply(request)
        return answer(receipts) if vendor_reply is None else reply(vendor_reply)

    async def _commit(self, hook: Hook, events: list[Event]) -> list[Receipt]:
        """Commit the events. Above the source's limit only duplicates are answered. Raises `_Limited`."""
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
                "this source already has a secret",
                status=403,
                reason="handshake_taken",
                hint=f"a second handshake arrived; if it is the vendor's, run `relay forget {hook.name}` and try again",
            )
        if greeting.confirm is not None:
            await self._fetch(greeting.confirm)
        log.info("handshake.answered", source=hook.name, handshake=greeting.name)
        return reply(greeting.reply)

    def _request(self, hook: Hook, http: web.BaseRequest, body: bytes) -> Request:
        url = find_url(http, self._public_url(), self._crowd.trusted)
        headers = Headers(http.headers)
        most, scheme = self._most_of(hook), hook.scheme
        return Request(http.method, url, headers, body, self._clock(), most, scheme.lists, scheme.bodies)

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
    """The scheme for the request, and the greeting if it is a handshake that needs no proof."""
    chosen = scheme.of(request)
    return chosen, chosen.greet(request, proved=False)


class _Limited(Exception):
    """The limit of the source is exhausted for `wait` milliseconds."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


def _bounded(fetch: Fetch) -> Fetch:
    slots = asyncio.Semaphore(_MOST_FETCHES)
    waiting = 0

    async def fetch_in_turn(url: str) -> bytes:
        nonlocal waiting
        if waiting >= _MOST_ASKING:
            raise Retryable("too many vendors' documents are being fetched")
        waiting += 1
        try:
            async with slots:
                return await fetch(url)
        finally:
            waiting -= 1

    return fetch_in_turn


def _require_method(http: web.BaseRequest, scheme: Scheme) -> None:
    if http.method not in scheme.methods:
        raise _method_refused(http.method)


def _require_post(request: Request) -> None:
    if request.method != "POST":
        raise _method_refused(request.method)


def _method_refused(method: str) -> Rejected:
    return Rejected(
        f"{method[:20]} is not allowed; send events with POST",
        status=405,
        reason="method",
        hint="somebody opened the URL in a browser, or the sender probes it",
    )
