"""What went wrong between Relay and Cargo, in words for people.

Only what is known to be quiet is repeated: aiohttp keeps headers and addresses in its errors.
"""

import errno
import os
import ssl
from typing import Final

import aiohttp
from yarl import URL

from relay.proxy import Proxy
from relay.trust import distrust, unwelcome

_CLOSED: Final = "it was closed before an answer came"
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ServerDisconnectedError, _CLOSED),
    (aiohttp.ClientPayloadError, "the answer was cut short or garbled"),
    (aiohttp.ClientResponseError, "the answer is no HTTP that can be read"),
    (ConnectionError, _CLOSED),
)
_ENDS: Final = frozenset({errno.ECONNABORTED, errno.ECONNRESET, errno.EPIPE})
"""How the kernel tells of an end before an answer: which of them depends on what it had still to hand over."""


def describe(error: Exception, proxy: Proxy | None = None) -> str:
    """An error of aiohttp or of a socket; it goes on a sentence about the connection. `proxy` was on the way."""
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        return refuses(proxy, error.status)
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if proxy is None:
        return _describe(error, inner, url="cargo.base_url")
    if isinstance(error, aiohttp.ClientConnectorError) and _is_at(error, proxy):
        return f"the proxy {proxy}: {_describe(error, inner, url=proxy.origin)}"
    return f"{_describe(error, inner, url='cargo.base_url')}, by the proxy {proxy}"


def refuses(proxy: Proxy, status: int) -> str:
    """What a proxy's own answer means."""
    if status != 407:
        return f"the proxy {proxy} does not let us through (it answered {status})"
    if proxy.login is None:
        return f"the proxy {proxy} asks for a login (407): write http://user:password@ before its host"
    return f"the proxy {proxy} refuses its user or password (407): correct them there"


def _is_at(error: aiohttp.ClientConnectorError, proxy: Proxy) -> bool:
    """Whether it was the connection to the proxy itself that could not be made, and not the one behind it."""
    there = URL(proxy.url)
    return isinstance(error, aiohttp.ClientProxyConnectionError) or (error.host, error.port) == (there.host, there.port)


def _describe(error: Exception, inner: Exception, *, url: str) -> str:
    if isinstance(inner, ssl.SSLError):
        return _describe_tls(inner, url)
    if inner is error and isinstance(inner, OSError) and inner.errno in _ENDS:
        return _CLOSED
    if isinstance(inner, OSError) and inner.strerror:
        return os.strerror(inner.errno) if inner.errno and inner.errno > 0 else inner.strerror
    unmade = "no connection could be made" if isinstance(error, aiohttp.ClientConnectorError) else "it broke off"
    return next((words for kind, words in _WORDS if isinstance(inner, kind)), unmade)


def _describe_tls(error: ssl.SSLError, url: str) -> str:
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    refused = distrust(error, ca_file="cargo.ca_file", url=url)
    return refused or unwelcome(error, cert_file="cargo.cert_file") or f"TLS could not be agreed on ({reason})"
