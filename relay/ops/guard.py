"""Access control of the ops listener.

With a token, clients must send it, or the cookie of a browser that has signed in with it. Without one the listener is
bound to loopback, and the remaining threat is a web page in a browser on this machine, which may use DNS rebinding (a
foreign `Host`), cross-site requests (a foreign `Origin`), or side channels of cross-site reads (`Sec-Fetch-Site`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from relay.errors import Unavailable
from relay.limits import Bucket
from relay.ops.access import ANYBODY, Caller, Role, TokenHolder, find_caller
from relay.ops.problem import Handler, NotAllowed, problem
from relay.ops.session import Sessions, SignedIn, read_session, same
from relay.ops.site import SAFE, check_host, check_site, is_data, is_link
from relay.telemetry import Metrics, get_log

log = get_log()

COOKIE: Final = "relay-session"
SIGN_IN: Final = "/signin"
STATIC: Final = "/static/"
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with `no-referrer` a browser sends our own forms with `Origin: null`
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CALLER: Final = web.RequestKey("caller", Caller)
_SESSION: Final = web.RequestKey("session", SignedIn)
_DELAY: Final = 1.0
_FORM: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_OVER: Final = """<!doctype html>
<meta charset="utf-8"><meta http-equiv="refresh" content="0; url={place}"><title>Relay</title>
<p><a href="{place}">Go on</a>
"""
"""A page that goes on to sign-in. That request comes from this site, so the cookie comes along if there is one."""


def make_guard(
    holders: Callable[[], tuple[TokenHolder, ...]],
    sessions: Sessions,
    metrics: Metrics,
    guesses: "Guesses",
    clock: Callable[[], int],
) -> Middleware:
    """A middleware that requires a token of the present `holders` or, without any, a request from this machine.

    `clock` returns milliseconds since the epoch. Sign-in and the files of pages are open to all.
    """
    door = _Door(holders, sessions, clock)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        present = holders()
        refusal = check_site(request) or (None if present else check_host(request))
        if refusal is not None:
            metrics.ops_refusals.labels("site").inc()
            return refusal
        if request.path.startswith(STATIC):
            return await handler(request)
        if (caller := await door.identify(request)) is not None:
            request[_CALLER], request[_DOOR] = caller, door
        elif request.path != SIGN_IN:
            return await _send_away(request, guesses)
        if await _lacks_csrf(request):
            metrics.ops_refusals.labels("csrf").inc()
            raise NotAllowed("the session's CSRF token is missing or of another session: load the page again")
        return await handler(request)

    return guard


def actor_of(request: web.Request) -> str:
    """Who asks, by name."""
    return request[_CALLER].name


def role_of(request: web.Request) -> Role:
    """What who asks may do."""
    return request[_CALLER].role


def caller_of(request: web.Request) -> Caller | None:
    """Who asks, None where nobody needs to have signed in."""
    return request.get(_CALLER)


async def is_still_allowed(request: web.Request) -> bool:
    """Whether who asked would be let in as then: for answers that go on, while tokens change and sessions end."""
    return await request[_DOOR].identify(request) == request[_CALLER]


def session_of(request: web.Request) -> SignedIn | None:
    """The session that it came with, None for none or a bearer."""
    return request.get(_SESSION)


def csrf_of(request: web.Request) -> str:
    """The CSRF token of the session, empty without one."""
    session = request.get(_SESSION)
    return session.csrf if session else ""


def require_role(request: web.Request, role: Role) -> None:
    """Raise `NotAllowed` unless who asks has this role."""
    caller = request[_CALLER]
    if caller.role < role:
        raise NotAllowed(
            f"the token of {caller.name} has the role {caller.role.word}; this needs {role.word}: "
            "ask somebody who has it, or change http.tokens"
        )


class Guesses:
    """Counts and logs wrong tokens (20 lines at once, then one per second) and delays each response.

    The listener's limit on connections bounds the requests that wait here: a connection has one request at a time. The
    right token is never delayed.
    """

    def __init__(self, metrics: Metrics, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._metrics = metrics
        self._sleep = sleep
        self._lines = Bucket(20, 1_000)

    async def hold_up(self, request: web.Request) -> bool:
        """Report a wrong token and wait. Returns whether it was logged, and not one of too many."""
        self._metrics.ops_refusals.labels("token_wrong").inc()
        logged = self._lines.take(time.monotonic() * 1_000)
        if logged:
            log.warning("ops.refused", remote=request.remote, path=request.path[:200], reason="token_wrong")
        await self._sleep(_DELAY)
        return logged

    def note_missing(self) -> None:
        """Count a request without a token: a browser that has not signed in, or a probe."""
        self._metrics.ops_refusals.labels("token_missing").inc()


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: forbid caching, framing and content sniffing of every response."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


@dataclass(frozen=True, slots=True)
class _Door:
    """What tells who asks."""

    holders: Callable[[], tuple[TokenHolder, ...]]
    sessions: Sessions
    clock: Callable[[], int]

    async def identify(self, request: web.Request) -> Caller | None:
        """Who asks. A token that is sent counts, and not the cookie beside it."""
        present = self.holders()
        if not present:
            return ANYBODY
        if "Authorization" in request.headers:
            return find_caller(present, _bearer(request))
        session = read_session(present, request.cookies.get(COOKIE, ""), self.clock())
        if session is None or await self._is_over(request, session):
            return None
        request[_SESSION] = session
        return session.caller

    async def _is_over(self, request: web.Request, session: SignedIn) -> bool:
        """Whether a session has ended. Where nobody knows, one can at least sign in anew."""
        try:
            return await self.sessions.is_over(session)
        except Unavailable:
            if request.path == SIGN_IN:
                return True
            raise


_DOOR: Final = web.RequestKey("door", _Door)


async def _lacks_csrf(request: web.Request) -> bool:
    """Whether a changing request has a session, but not its CSRF token: a page of another site may have sent it."""
    session = request.get(_SESSION)
    if session is None or request.method in SAFE or request.path == SIGN_IN:
        return False
    sent = request.headers.get("X-CSRF-Token")
    if sent is None and request.content_type in _FORM:
        sent = str((await request.post()).get("csrf", ""))
    return not same(sent or "", session.csrf)


async def _send_away(request: web.Request, guesses: Guesses) -> web.Response:
    """What they are answered who have not proved who they are."""
    if "Authorization" in request.headers:
        await guesses.hold_up(request)
    else:
        guesses.note_missing()
        if is_link(request):
            place = escape(sign_in_at(request.path_qs))
            return web.Response(text=_OVER.format(place=place), content_type="text/html")
        if "HX-Request" in request.headers:  # a part of a page: the whole page goes to sign in
            at = urlsplit(request.headers.get("HX-Current-URL", "/"))
            return web.Response(status=401, headers={"HX-Redirect": sign_in_at(f"{at.path}?{at.query}".rstrip("?"))})
        if not is_data(request) and "text/event-stream" not in request.headers.get("Accept", ""):
            return web.Response(status=303, headers={"Location": sign_in_at(request.path_qs)})
    detail = "send `Authorization: Bearer TOKEN` with the value of http.token or of one of http.tokens"
    return problem(401, detail, {"WWW-Authenticate": "Bearer"})


def sign_in_at(place: str) -> str:
    """The address of the sign-in that leads on to `place`."""
    return SIGN_IN if place == "/" else f"{SIGN_IN}?{urlencode({'next': place})}"


def _bearer(request: web.Request) -> str:
    """The bearer token that was sent, empty for none."""
    kind, _, sent_token = request.headers.get("Authorization", "").partition(" ")
    return sent_token.strip() if kind.lower() == "bearer" else ""
