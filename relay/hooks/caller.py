"""Who called, and under which URL, behind proxies whose word is believed."""

import ipaddress
from collections.abc import Sequence

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def find_remote(request: web.Request, trusted: Sequence[Network]) -> str | None:
    """The nearest address that is no trusted proxy: the peer's, or the last such one in X-Forwarded-For."""
    peer = request.remote
    if not trusted or not _is_trusted(peer, trusted):
        return peer
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
        address = _address(hop)
        if address is None:
            return peer
        if not _is_trusted(hop, trusted):
            return str(address)
        peer = str(address)
    return peer


def find_url(request: web.Request, public_url: str | None, trusted: Sequence[Network]) -> str:
    """The URL that the sender called: below `public_url` if set, else as a trusted proxy or the request says."""
    path = request.rel_url.raw_path_qs
    if public_url:
        return f"{public_url.rstrip('/')}{path}"
    scheme, host = request.scheme, request.host
    if trusted and _is_trusted(request.remote, trusted):
        scheme = request.headers.get("X-Forwarded-Proto", scheme).split(",")[-1].strip()
        host = request.headers.get("X-Forwarded-Host", host).split(",")[-1].strip()
    return f"{scheme}://{host}{path}"


def _is_trusted(text: str | None, trusted: Sequence[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in trusted)


def _address(text: str | None) -> Address | None:
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
