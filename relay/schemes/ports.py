"""A URL with and without its port: Twilio signs the one or the other, and leaves out any port, not the default
alone."""

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from relay.schemes.request import Request

_PORTS: Final = {"http": 80, "https": 443}


def twins(request: Request) -> list[Request]:
    """The request under the other ways to write its URL."""
    try:
        parts = urlsplit(request.url)
    except ValueError:
        return []
    default = _PORTS.get(parts.scheme)
    host = parts.netloc.rpartition("@")[2]
    if default is None or not host:
        return []
    _, colon, port = host.rpartition("]")[2].rpartition(":")
    if colon:
        return [_under(request, parts.netloc.removesuffix(f":{port}"), parts.netloc)]
    return [_under(request, f"{parts.netloc}:{default}", parts.netloc)]


def _under(request: Request, netloc: str, known: str) -> Request:
    scheme, rest = request.url.split("://", 1)
    return replace(request, url=f"{scheme}://{netloc}{rest.removeprefix(known)}")
