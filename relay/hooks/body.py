"""Reads the body of a request, within its size and time limits."""

import asyncio
from typing import Final

from aiohttp import HttpVersion11, web

from relay.errors import Rejected
from relay.hooks.connection import Connection, Crowded
from relay.hooks.crowd import Cap
from relay.schemes.inflate import too_large

_SLOW: Final = "a slow network, or a sender that stalls"


def take(request: web.BaseRequest, most: int) -> bytes | None:
    """The body, if it arrived completely with the head, as most do; otherwise None. Raises `Rejected` (413)."""
    if not request.content.is_eof() or request.content.exception() is not None:
        return None
    body = request.content.read_nowait()
    if len(body) > most:
        raise too_large(most)
    return body


async def receive(request: web.BaseRequest, connection: Connection, most: int) -> bytes:
    """Read the body, which must arrive at the pace of the listener's caps.

    Raises `Rejected`: 413 above `most` bytes, 408 when it is slow, 400 when it is broken. Raises `Crowded` when it
    must give way to other requests.
    """
    if (request.content_length or 0) > most:
        raise too_large(most)
    try:
        await _ask_for(request)
        return await _read(request, connection, most)
    except TimeoutError:
        if connection.crowded:
            raise Crowded from None
        connection.crowd.pressure.tell(Cap.BODY_SLOW, connection.party)
        caps = connection.crowd.caps
        message = f"the body arrived slower than {caps.pace} bytes a second, or took longer than {caps.body_time:.0f} s"
        raise Rejected(message, status=408, reason="body_slow", hint=_SLOW) from None
    except (web.RequestPayloadError, ConnectionError):
        if connection.crowded:
            raise Crowded from None
        raise Rejected(
            "the body is incomplete",
            status=400,
            reason="body_broken",
            hint="the sender closed the connection, or its chunks are malformed",
        ) from None


async def _read(request: web.BaseRequest, connection: Connection, most: int) -> bytes:
    """Read into one growing array. A list of blocks would cost an object per byte when a client sends single bytes."""
    began = asyncio.get_running_loop().time()
    patience = connection.crowd.caps.patience
    body = bytearray()
    try:
        while True:
            async with asyncio.timeout_at(began + patience(len(body))) as deadline:
                connection.read_until(deadline)
                block = await request.content.readany()
            if not block:
                return bytes(body)
            body += block
            if len(body) > most:
                raise too_large(most)
    finally:
        connection.read_until(None)


async def _ask_for(request: web.BaseRequest) -> None:
    """Send `100 Continue` to a sender that waits for it (curl does so above 1 MiB)."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the response itself has not begun
