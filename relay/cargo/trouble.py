"""What went wrong between Relay and Cargo, in words for people.

Only what is known to be quiet is repeated: aiohttp keeps headers and addresses in its errors.
"""

import errno
import os
import ssl
from typing import Final

import aiohttp

from relay.trust import distrust

_CLOSED: Final = "it was closed before an answer came"
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ServerDisconnectedError, _CLOSED),
    (aiohttp.ClientPayloadError, "the answer was cut short or garbled"),
    (aiohttp.ClientResponseError, "the answer is no HTTP that can be read"),
    (ConnectionError, _CLOSED),
)
_ENDS: Final = frozenset({errno.ECONNABORTED, errno.ECONNRESET, errno.EPIPE})
"""How the kernel tells of an end before an answer: which of them depends on what it had still to hand over."""


def describe(error: Exception) -> str:
    """An error of aiohttp or of a socket; it goes on a sentence about the connection."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, ssl.SSLError):
        return _describe_tls(inner)
    if inner is error and isinstance(inner, OSError) and inner.errno in _ENDS:
        return _CLOSED
    if isinstance(inner, OSError) and inner.strerror:
        return os.strerror(inner.errno) if inner.errno and inner.errno > 0 else inner.strerror
    unmade = "no connection could be made" if isinstance(error, aiohttp.ClientConnectorError) else "it broke off"
    return next((words for kind, words in _WORDS if isinstance(inner, kind)), unmade)


def _describe_tls(error: ssl.SSLError) -> str:
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    refused = distrust(error, ca_file="cargo.ca_file", url="cargo.base_url")
    return refused or f"TLS could not be agreed on ({reason})"
