"""Small documents that requests name: certificates, addresses to confirm. The schemes say on which hosts."""

from typing import Final

import aiohttp

from relay.errors import Retryable

_MOST: Final = 64 << 10
_PATIENCE: Final = aiohttp.ClientTimeout(total=8)


async def fetch(url: str) -> bytes:
    """The document at an https address, 64 KiB at most; redirects are not followed. Raises `Retryable`."""
    if not url.startswith("https://"):
        raise Retryable("only https addresses are fetched")
    try:
        async with (
            aiohttp.ClientSession(timeout=_PATIENCE, trust_env=True) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(_MOST + 1)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Retryable(f"the vendor's address cannot be fetched: {type(error).__name__}") from None
    if answer.status != 200 or len(body) > _MOST:
        raise Retryable(f"the vendor's address answered {answer.status}, or too much", status=answer.status)
    return body
