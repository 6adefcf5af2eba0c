"""Describes connection errors between Relay and Cargo as text for people.

aiohttp's errors contain headers and URLs, so only text that is known to hold no secrets is repeated.
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
"""The errors for a connection that ended before an answer; which one occurs depends on the data still unsent."""


def describe(error: Exception, proxy: Proxy | None = None) -> str:
    """Describe an error of aiohttp or of a socket, to continue a sentence. `proxy` is the one that the call used."""
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        return refuses(proxy, error.status)
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if proxy is None:
        return _describe(error, inner, url="cargo.base_url")
    if isinstance(error, aiohttp.ClientConnectorError) and _is_at(error, proxy):
        return f"the proxy {proxy}: {_describe(error, inner, url=proxy.origin)}"
    return f"{_describe(error, inner, url='cargo.base_url')}, by the proxy {proxy}"


def refuses(proxy: Proxy, status: int) -> str:
    """Describe a proxy's own error answer."""
    if status != 407:
        return f"the proxy {proxy} does not let us through (it answered {status})"
    if proxy.login is None:
        return f"the proxy {proxy} asks for a login (407): write http://user:password@ before its host"
    return f"the proxy {proxy} refuses its user or password (407): correct them there"


def _is_at(error: aiohttp.ClientConnectorError, proxy: Proxy) -> bool:
    """Whether the failed connection was the one to the proxy itself, not the one from it to Cargo."""
    proxy_url = URL(proxy.url)
    return isinstance(error, aiohttp.ClientProxyConnectionError) or (error.host, error.port) == (
        proxy_url.host,
        proxy_url.port,
    )


def _describe(error: Exception, inner: Exception, *, url: str) -> str:
    if isinstance(inner, ssl.SSLError):
        return _describe_tls(inner, url)
    if inner is error and isinstance(inner, OSError) and inner.errno in _ENDS:
        return _CLOSED
    if isinstance(inner, OSError) and inner.strerror:
        return os.strerror(inner.errno) if inner.errno and inner.errno > 0 else inner.strerror
    default = "no connection could be made" if isinstance(error, aiohttp.ClientConnectorError) else "it broke off"
    return next((words for kind, words in _WORDS if isinstance(inner, kind)), default)


def _describe_tls(error: ssl.SSLError, url: str) -> str:
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    untrusted = distrust(error, ca_file="cargo.ca_file", url=url)
    return untrusted or unwelcome(error, cert_file="cargo.cert_file") or f"TLS could not be agreed on ({reason})"
