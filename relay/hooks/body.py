"""The body of a request off the wire: never more of it than is allowed, and not for longer."""

import asyncio
from typing import Final

from aiohttp import HttpVersion11, web

from relay.errors import Rejected
from relay.hooks.connection import Connection, Crowded
from relay.hooks.crowd import Cap
from relay.schemes.inflate import too_large

_SLOW: Final = "a slow network, or a sender that stalls"


def take(request: web.BaseRequest, most: int) -> bytes | None:
    """The body, if it has come whole with its head, as most do; else None. Raises `Rejected` (413)."""
    if not request.content.is_eof() or request.content.exception() is not None:
        return None
    body = request.content.read_nowait()
    if len(body) > most:
        raise too_large(most)
    return body


async def receive(request: web.BaseRequest, connection: Connection, most: int) -> bytes:
    """The body as it came, at the pace that the listener's caps ask for.

    Raises `Rejected`: 413 above `most` bytes, 408 when it is slow, 400 when it is broken. Raises `Crowded` when it
    has to give way to others.
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
        message = f"the body came slower than {caps.pace} bytes a second, or took longer than {caps.body_time:.0f} s"
        raise Rejected(message, status=408, reason="body_slow", hint=_SLOW) from None
    except (web.RequestPayloadError, ConnectionError):
        if connection.crowded:
            raise Crowded from None
        raise Rejected(
            "the body did not come whole",
            status=400,
            reason="body_broken",
            hint="the sender hung up, or its chunks are malformed",
        ) from None


async def _read(request: web.BaseRequest, connection: Connection, most: int) -> bytes:
    """In one growing array: a stranger who sends single bytes would else have each in an object of its own."""
    began = asyncio.get_running_loop().time()
    patience = connection.crowd.caps.patience
    body = bytearray()
    try:
        while True:
            async with asyncio.timeout_at(began + patience(len(body))) as until:
                connection.read_until(until)
                block = await request.content.readany()
            if not block:
                return bytes(body)
            body += block
            if len(body) > most:
                raise too_large(most)
    finally:
        connection.read_until(None)


async def _ask_for(request: web.BaseRequest) -> None:
    """Say that the body is wanted, to a sender that waits for that (curl does with more than 1 MiB)."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
