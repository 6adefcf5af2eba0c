"""Who may talk to the ops listener.

With a token: whoever presents it. Without one the listener is bound to loopback, and what remains to be kept out
is a web page in a browser on this machine: by DNS rebinding (a foreign `Host`) or by posting across sites (a
foreign `Origin`).
"""

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from relay.ops.problem import Handler, problem
from relay.secret import Secret

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def make_guard(token: Secret | None) -> Middleware:
    """A middleware that lets in who may come: the bearer of `token`, or without one, only this machine."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _check_host(request) if token is None else _check_bearer(request, token)
        return refusal or await handler(request)

    return guard


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: nothing of the ledger is cached, framed or guessed to be of another type."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _check_bearer(request: web.Request, token: Secret) -> web.Response | None:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token.reveal().encode())
    if kind.lower() == "bearer" and right:
        return None
    return problem(
        401, "this needs `Authorization: Bearer` with the token of http.token", {"WWW-Authenticate": "Bearer"}
    )


def _check_host(request: web.Request) -> web.Response | None:
    host = request.headers.get("Host", "")
    if not _loopback(host):
        return problem(403, "without http.token this listener serves only this machine: ask for 127.0.0.1 or localhost")
    origin = request.headers.get("Origin")
    if request.method not in _SAFE and origin is not None and urlsplit(origin).netloc != host:
        return problem(403, "a page of another site may not do this")
    return None


def _loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False
