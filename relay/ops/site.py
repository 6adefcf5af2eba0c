"""Where a request comes from: this machine or another one, a page of this listener or of another site."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from relay.ops.problem import problem

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""
_OWN_SITE: Final = frozenset({"same-origin", "none"})


def check_host(request: web.Request) -> web.Response | None:
    """Refuse names that are not of this machine, which is what DNS rebinding uses."""
    if _is_loopback(request.headers.get("Host", "")):
        return None
    return problem(403, "without http.token this listener serves only this machine; ask for 127.0.0.1 or localhost")


def check_site(request: web.Request) -> web.Response | None:
    """Refuse cross-site requests, except when a person follows a link to one of our pages."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("Host", ""):
        return problem(403, "cross-site request: the `Origin` header names another site than the `Host` header")
    if not _is_foreign(request) or _is_visit(request):
        return None
    return problem(403, "cross-site request: pages of other sites may only link to the pages of this listener")


def is_data(request: web.Request) -> bool:
    """Whether it asks for what programs read, not for a page."""
    return request.path.startswith("/api/") or request.path in {"/api", "/openapi.json"}


def is_link(request: web.Request) -> bool:
    """Whether a person follows a link of another site, with which a browser sends no SameSite=Strict cookie."""
    return _is_foreign(request) and _is_visit(request)


def is_https(request: web.Request) -> bool:
    """Whether the browser came by https. Proxies say so; whoever lies only keeps his own cookie from himself."""
    proxied = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return request.secure or proxied == "https" or request.headers.get("Origin", "").startswith("https://")


def _is_foreign(request: web.Request) -> bool:
    return request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE


def _is_visit(request: web.Request) -> bool:
    """Whether a browser navigates to a page as a top-level document."""
    navigation = (request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest"))
    return request.method in SAFE and navigation == ("navigate", "document") and not is_data(request)


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False
