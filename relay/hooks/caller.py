"""Finds the sender's address and the URL that it called, behind trusted proxies.

Proxies report them in X-Forwarded-* or in Forwarded (RFC 7239). X-Forwarded-* takes precedence, because most proxies
set it: a header that the proxy does not set itself could come from the sender.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PAIR: Final = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^";,\s]*))')
_MARK: Final = re.compile('[",]')
_LONGEST: Final = 4 << 10
_MOST_HOPS: Final = 32
"""Limits of the bytes and hops that are read, from the end. Earlier ones are not from the nearest proxies."""


@dataclass(frozen=True, slots=True)
class _Hop:
    """What one proxy reports about a request: its sender, scheme and host."""

    sender: str | None
    scheme: str | None = None
    host: str | None = None


def find_remote(request: web.BaseRequest, trusted: Sequence[Network]) -> str | None:
    """The nearest address that is not a trusted proxy: the peer's, or one that trusted proxies report."""
    peer = _address(request.remote)
    remote = request.remote if peer is None else str(peer)
    for hop in _believed(request, trusted):
        address = _address(hop.sender)
        if address is None:
            return remote
        remote = str(address)
    return remote


def find_url(request: web.BaseRequest, public_url: str | None, trusted: Sequence[Network]) -> str:
    """The URL that the sender called: under `public_url` if set, otherwise from trusted proxies or the request.

    An invalid host is left out, so that a signature over the URL does not match.
    """
    path = request.rel_url.raw_path_qs
    if public_url:
        return f"{public_url.rstrip('/')}{path}"
    scheme, host = request.scheme, request.host
    for hop in _believed(request, trusted):
        scheme, host = hop.scheme or scheme, hop.host or host
    return f"{scheme}://{host if _is_host(host) else ''}{path}"


@lru_cache(maxsize=256)
def _is_host(host: str) -> bool:
    try:
        return bool(urlsplit(f"//{host}/").netloc == host)
    except ValueError:
        return False


def believes(request: web.BaseRequest, trusted: Sequence[Network]) -> bool:
    """Whether the peer is a trusted proxy, so that its headers count."""
    return bool(trusted) and within(request.remote, trusted)


def within(text: str | None, networks: Sequence[Network]) -> bool:
    """Whether the text is an address in one of the networks."""
    address = _address(text)
    return address is not None and any(address in network for network in networks)


def _believed(request: web.BaseRequest, trusted: Sequence[Network]) -> list[_Hop]:
    """The hops reported by trusted proxies, nearest first. A hop counts only if all nearer ones are trusted."""
    if not believes(request, trusted):
        return []
    hops = _x_forwarded(request) or _forwarded(request)
    trusted_hops = []
    for hop in reversed(hops):
        trusted_hops.append(hop)
        if not within(hop.sender, trusted):
            break
    return trusted_hops


def _forwarded(request: web.BaseRequest) -> list[_Hop]:
    text = ",".join(request.headers.getall("Forwarded", ()))
    return [_hop(element) for element in _split(text) if element.strip()]


def _split(text: str) -> list[str]:
    """The last elements, split at commas outside quotes.

    It splits from the end, so that an unclosed quote from the sender does not hide the elements of proxies after it.
    """
    tail = text[-_LONGEST:]
    elements: list[str] = []
    end, quoted = len(tail), False
    for mark in reversed(list(_MARK.finditer(tail))):
        if mark[0] == '"':
            quoted = not quoted
        elif not quoted:
            elements.append(tail[mark.end() : end])
            end = mark.start()
            if len(elements) == _MOST_HOPS:
                return elements[::-1]
    if len(tail) == len(text):  # otherwise it is only the end of an element
        elements.append(tail[:end])
    return elements[::-1]


def _hop(element: str) -> _Hop:
    pairs = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in _PAIR.findall(element)}
    return _Hop(_bare(pairs.get("for")), pairs.get("proto"), pairs.get("host"))


def _bare(sender: str | None) -> str | None:
    """An address without port and brackets, from `"[2001:db8::1]:4711"` or `192.0.2.1:80`."""
    if sender is None:
        return None
    if sender.startswith("["):
        return sender[1:].partition("]")[0]
    return sender.partition(":")[0] if sender.count(":") == 1 else sender


def _x_forwarded(request: web.BaseRequest) -> list[_Hop]:
    """The hops from the three headers, aligned at their ends, because a proxy may append to only some of them."""
    senders, schemes, hosts = (_listed(request, name) for name in ("For", "Proto", "Host"))
    length = max(len(senders), 1 if schemes or hosts else 0)
    columns = [_aligned(values, length) for values in (senders, schemes, hosts)]
    return [_Hop(_bare(sender), scheme, host) for sender, scheme, host in zip(*columns, strict=True)]


def _aligned(values: list[str], length: int) -> list[str | None]:
    """The last `length` values, padded with None at the front."""
    return [*([None] * (length - len(values))), *values[len(values) - length if len(values) > length else 0 :]]


def _listed(request: web.BaseRequest, name: str) -> list[str]:
    text = ",".join(request.headers.getall(f"X-Forwarded-{name}", ()))
    parts = text[-_LONGEST:].split(",")
    whole = parts if len(text) <= _LONGEST else parts[1:]
    return [part.strip() for part in whole if part.strip()][-_MOST_HOPS:]


def _address(text: str | None) -> Address | None:
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
