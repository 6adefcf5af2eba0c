"""Who called, and under which URL, behind proxies whose word is believed.

They say it in X-Forwarded-*, or else in Forwarded (RFC 7239). What a proxy does not set itself, a stranger may: most
set the former.
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
"""The last bytes and hops that are looked at: those of the nearest proxies. What is before them, a stranger wrote."""


@dataclass(frozen=True, slots=True)
class _Hop:
    """What one proxy says of the request that it passed on: who sent it, by which scheme, to which host."""

    sender: str | None
    scheme: str | None = None
    host: str | None = None


def find_remote(request: web.BaseRequest, trusted: Sequence[Network]) -> str | None:
    """The nearest address that is no trusted proxy: the peer's, or the last such one that trusted proxies name."""
    peer = _address(request.remote)
    remote = request.remote if peer is None else str(peer)
    for hop in _believed(request, trusted):
        address = _address(hop.sender)
        if address is None:
            return remote
        remote = str(address)
    return remote


def find_url(request: web.BaseRequest, public_url: str | None, trusted: Sequence[Network]) -> str:
    """The URL that the sender called: below `public_url` if set, else as the outermost trusted proxy says, else as
    the request does. A host that is none is left out, so that whatever signs the URL does not match."""
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
    """Whether the peer is a trusted proxy, so that what it says of the sender counts."""
    return bool(trusted) and within(request.remote, trusted)


def within(text: str | None, networks: Sequence[Network]) -> bool:
    """Whether it is an address in one of the networks."""
    address = _address(text)
    return address is not None and any(address in network for network in networks)


def _believed(request: web.BaseRequest, trusted: Sequence[Network]) -> list[_Hop]:
    """What trusted proxies say, from the nearest on: the peer's word counts if it is one, and so forth."""
    if not believes(request, trusted):
        return []
    hops = _x_forwarded(request) or _forwarded(request)
    found = []
    for hop in reversed(hops):
        found.append(hop)
        if not within(hop.sender, trusted):
            break
    return found


def _forwarded(request: web.BaseRequest) -> list[_Hop]:
    text = ",".join(request.headers.getall("Forwarded", ()))
    return [_hop(element) for element in _split(text) if element.strip()]


def _split(text: str) -> list[str]:
    """The last elements, split at commas outside quotes.

    From the end on, so that a quote that a stranger left open does not swallow what proxies put after it.
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
    if len(tail) == len(text):  # else it is the end of one
        elements.append(tail[:end])
    return elements[::-1]


def _hop(element: str) -> _Hop:
    found = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in _PAIR.findall(element)}
    return _Hop(_bare(found.get("for")), found.get("proto"), found.get("host"))


def _bare(sender: str | None) -> str | None:
    """An address without its port and brackets: `"[2001:db8::1]:4711"`, `192.0.2.1:80`."""
    if sender is None:
        return None
    if sender.startswith("["):
        return sender[1:].partition("]")[0]
    return sender.partition(":")[0] if sender.count(":") == 1 else sender


def _x_forwarded(request: web.BaseRequest) -> list[_Hop]:
    """The three headers side by side, from their ends: a proxy that sets only some leaves the others as they are."""
    senders, schemes, hosts = (_listed(request, name) for name in ("For", "Proto", "Host"))
    length = max(len(senders), 1 if schemes or hosts else 0)
    columns = [_aligned(values, length) for values in (senders, schemes, hosts)]
    return [_Hop(_bare(sender), scheme, host) for sender, scheme, host in zip(*columns, strict=True)]


def _aligned(values: list[str], length: int) -> list[str | None]:
    """The last `length` values, with None in front of too few."""
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
