"""Small documents that requests name: certificates, addresses to confirm. The schemes say on which hosts."""

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
    """The document at an https address, 64 KiB at most; redirects are not followed. Raises `Retryable`.

    `tls` says whom to believe, in place of the system's authorities; `env` names the proxy. What is told of a failure
    leaves out the query, which may hold a token.
    """
    bare = url.partition("?")[0]
    if not url.startswith("https://"):
        raise Retryable("only https addresses are fetched")
    try:
        proxy = find(url, env)
    except BadVariable as error:
        raise Retryable(f"{bare} cannot be fetched: {error.name} {error}") from None
    by = "" if proxy is None else f" by the proxy {proxy}"
    try:
        async with (
            aiohttp.ClientSession(timeout=_PATIENCE) as session,
            session.get(url, allow_redirects=False, ssl=tls or True, **steer(proxy, "https", {})) as answer,
        ):
            body = await _read(answer)
    except TimeoutError:
        raise Retryable(f"{bare} does not answer within {_PATIENCE.total:.0f} s{by}") from None
    except aiohttp.ClientHttpProxyError as error:
        raise Retryable(f"{bare} cannot be fetched{by}, which answered {error.status}") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Retryable(f"{bare} cannot be fetched{by}: {error}") from None
    if answer.status != 200:
        raise Retryable(f"{bare} answered {answer.status}", status=answer.status)
    return body


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """All of it: a stream gives what has come, which need not be the whole."""
    body = b""
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _MOST:
            raise Retryable(f"{answer.url.with_query(None)} answers more than {_MOST} bytes")
    return body
