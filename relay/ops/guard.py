"""Who may talk to the ops listener.

With a token: whoever presents it. Without one the listener is bound to loopback, and what remains to be kept out
is a web page in a browser on this machine: by DNS rebinding (a foreign `Host`), by posting across sites (a foreign
`Origin`), or by having the browser read from here and drawing conclusions (`Sec-Fetch-Site`).
"""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from relay.limits import Bucket
from relay.ops.problem import Handler, problem
from relay.secret import Secret
from relay.telemetry import Metrics, get_log

log = get_log()

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_OWN_SITE: Final = frozenset({"same-origin", "none"})
_DELAY: Final = 1.0


def make_guard(
    token: Secret | None, metrics: Metrics, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Middleware:
    """A middleware that lets in who may come: the bearer of `token`, or without one, only this machine.

    A wrong token is answered after a second, and told of; the right one is never held up.
    """
    guesses = _Guesses(metrics, sleep)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _check_site(request) or (_check_host(request) if token is None else None)
        if refusal is not None:
            metrics.ops_refusals.labels("site").inc()
            return refusal
        if token is None or _is_bearer(request, token):
            return await handler(request)
        await guesses.tell(request)
        return problem(
            401, "this needs `Authorization: Bearer` with the token of http.token", {"WWW-Authenticate": "Bearer"}
        )

    return guard


class _Guesses:
    """Wrong tokens: counted, told in the log (20 at once, then one a second), each answered late.

    What waits is bounded by the listener's connections, each of which makes one guess at a time.
    """

    def __init__(self, metrics: Metrics, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._metrics = metrics
        self._sleep = sleep
        self._lines = Bucket(20, 1_000)

    async def tell(self, request: web.Request) -> None:
        given = "Authorization" in request.headers
        self._metrics.ops_refusals.labels("token_wrong" if given else "token_missing").inc()
        if not given:  # a browser that was never signed in, a probe
            return
        if self._lines.take(time.monotonic() * 1_000):
            log.warning("ops.refused", remote=request.remote, path=request.path[:200], reason="token_wrong")
        await self._sleep(_DELAY)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: nothing of the ledger is cached, framed or guessed to be of another type."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _is_bearer(request: web.Request, token: Secret) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token.reveal().encode())
    return kind.lower() == "bearer" and right


def _check_host(request: web.Request) -> web.Response | None:
    if _loopback(request.headers.get("Host", "")):
        return None
    return problem(403, "without http.token this listener serves only this machine: ask for 127.0.0.1 or localhost")


def _check_site(request: web.Request) -> web.Response | None:
    """Nothing for a page of another site, but that a person follows its link to a page of ours."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("Host", ""):
        return problem(403, "a page of another site may not do this")
    if request.headers.get("Sec-Fetch-Site", "none") in _OWN_SITE or _is_visit(request):
        return None
    return problem(403, "a page of another site may not ask for this")


def _is_visit(request: web.Request) -> bool:
    """Whether a browser goes to a page, in a tab of its own."""
    asked = (request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest"))
    data = request.path.startswith("/api/") or request.path == "/openapi.json"
    return request.method in _SAFE and asked == ("navigate", "document") and not data


def _loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False
