"""The body of a request off the wire, never more of it than is allowed."""

import asyncio
from typing import Final

from aiohttp import HttpVersion11, web

from relay.errors import Rejected
from relay.schemes.inflate import too_large

_PATIENCE: Final = 30.0
"""Seconds for a body to come in whole; vendors wait less for their answer."""


def take(request: web.BaseRequest, most: int) -> bytes | None:
    """The body, if it has come whole with its head, as most do; else None. Raises `Rejected` (413)."""
    if not request.content.is_eof() or request.content.exception() is not None:
        return None
    body = request.content.read_nowait()
    if len(body) > most:
        raise too_large(most)
    return body


async def receive(request: web.BaseRequest, most: int) -> bytes:
    """The body as it came. Raises `Rejected`: 413 above `most` bytes, 408 when it is slow, 400 when it is broken."""
    if (request.content_length or 0) > most:
        raise too_large(most)
    try:
        await _ask_for(request)
        async with asyncio.timeout(_PATIENCE):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large(most) from None
    except TimeoutError:
        message = f"the body did not come within {_PATIENCE:.0f} seconds"
        raise Rejected(
            message, status=408, reason="body_slow", hint="a slow network, or a sender that stalls"
        ) from None
    except (web.RequestPayloadError, ConnectionError):
        raise Rejected(
            "the body did not come whole",
            status=400,
            reason="body_broken",
            hint="the sender hung up, or its chunks are malformed",
        ) from None


async def _ask_for(request: web.BaseRequest) -> None:
    """Say that the body is wanted, to a sender that waits for that (curl does with more than 1 MiB)."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
