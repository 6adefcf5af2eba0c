"""Fetches small documents that requests name: certificates and confirmations. The schemes restrict the hosts."""

import os
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp

from relay.errors import Retryable
from relay.proxy import BadVariable, find, steer

_MOST: Final = 64 << 10
_PATIENCE: Final = aiohttp.ClientTimeout(total=8)


async def fetch(url: str, *, tls: ssl.SSLContext | None = None, env: Mapping[str, str] = os.environ) -> bytes:
    """Fetch an https document of at most 64 KiB, without following redirects. Raises `Retryable`.

    `tls` replaces the system's certificate authorities. `env` names the proxy. Errors leave out the query of the URL,
    which may contain a token.
    """
    bare = url.partition("?")[0]
    if not url.startswith("https://"):
        raise Retryable("only https URLs are fetched")
    try:
        proxy = find(url, env)
    except BadVariable as error:
        raise Retryable(f"{bare} cannot be fetched: {error.name} {error}") from None
    via = "" if proxy is None else f" through the proxy {proxy}"
    try:
        async with (
            aiohttp.ClientSession(timeout=_PATIENCE) as session,
            session.get(url, allow_redirects=False, ssl=tls or True, **steer(proxy, "https", {})) as answer,
        ):
            body = await _read(answer)
    except TimeoutError:
        raise Retryable(f"{bare} does not answer within {_PATIENCE.total:.0f} s{via}") from None
    except aiohttp.ClientHttpProxyError as error:
        raise Retryable(f"{bare} cannot be fetched{via}, which answered {error.status}") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Retryable(f"{bare} cannot be fetched{via}: {error}") from None
    if answer.status != 200:
        raise Retryable(f"{bare} answered {answer.status}", status=answer.status)
    return body


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Read the whole body: a single read returns only what has arrived."""
    body = b""
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _MOST:
            raise Retryable(f"{answer.url.with_query(None)} answers more than {_MOST} bytes")
    return body
