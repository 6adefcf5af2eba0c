"""Carries out faults on the wire."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from aiohttp import web

from relay.sandbox.faults import Faults
from relay.sandbox.render import answer, refuse

BEFORE: Final = frozenset(
    {"throttled", "throttled_bare", "error_before", "reset_before", "hang", "html", "unauthorized", "forbidden"}
)
"""The faults before a chat or message is created; the others come after."""

_PAGE: Final = "<!doctype html><html><head><title>Welcome</title></head><body><h1>It works</h1></body></html>"
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)


async def strike(name: str, request: web.Request, faults: Faults, stopping: asyncio.Event) -> web.Response:
    """Carry out the fault `name` for a request, and return the response, if the client still gets one."""
    if name in _CUTS:
        _CUTS[name](request)
    elif name in ("hang", "hang_after"):
        await _hang(request, stopping)
    return _answer(name, faults)


def _answer(name: str, faults: Faults) -> web.Response:
    match name:
        case "throttled":
            return throttle(faults)
        case "throttled_bare":
            return web.Response(status=429)
        case "error_before" | "error_after":
            return refuse(faults.status, "Something went wrong on our side", "internalError")
        case "html":
            return web.Response(text=_PAGE, content_type="text/html")
        case "no_chat":
            return answer("{}")
        case "unauthorized":
            return deny(401)
        case "forbidden":
            return deny(403)
    return web.Response()


def throttle(faults: Faults) -> web.Response:
    """429 with Retry-After."""
    return refuse(429, "Too many requests", "rateLimited", {"Retry-After": str(faults.retry_after)})


def deny(status: int) -> web.Response:
    """401 or 403."""
    if status == 401:
        return refuse(401, "Not authorized: send Authorization: Bearer with the simulator's token", "unauthorized")
    return refuse(403, "This token may not do that", "forbidden")


def _close(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


_CUTS: Final[dict[str, Callable[[web.Request], None]]] = {
    "lost": _close,
    "reset_before": _reset,
    "reset_after": _reset,
}


async def _hang(request: web.Request, stopping: asyncio.Event) -> None:
    """Wait until the client disconnects or the simulator stops. It polls, because aiohttp does not notify handlers."""
    while request.transport is not None and not request.transport.is_closing():
        try:
            await asyncio.wait_for(stopping.wait(), 0.1)
        except TimeoutError:
            continue
        return
