"""From a message's bytes to JSON text: content encodings and content types."""

import re
import zlib
from typing import Final

from relay.schemes.document import Unreadable

_MOST: Final = 16 << 20
_NONE: Final = frozenset({"", "identity", "utf-8", "utf8", "us-ascii", "ascii", "binary", "8bit"})
"""Some libraries (kombu, MassTransit) put the charset there."""
_WINDOW: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\";\s]+)", re.IGNORECASE)
_UNTYPED: Final = frozenset({"", "text/plain", "application/octet-stream"})


def inflate(body: bytes, encoding: str | None) -> bytes:
    """The body without its content encoding, at most 16 MiB of it. Raises Unreadable."""
    name = (encoding or "").strip().lower()
    if name in _NONE:
        return body
    if name not in _WINDOW:
        raise Unreadable("encoding", f"content encoding {name!r} is unknown: send gzip, deflate or none")
    machine = zlib.decompressobj(_WINDOW[name])
    try:
        inflated = machine.decompress(body, _MOST)
    except zlib.error as error:
        raise Unreadable("encoding", f"the body is not {name}: {error}") from None
    if machine.unconsumed_tail:
        raise Unreadable("too_large", f"the body inflates to more than {_MOST} bytes")
    if not machine.eof:
        raise Unreadable("encoding", f"the body is {name} that ends too early")
    return inflated


def media_type(content_type: str | None) -> tuple[str, str | None]:
    """The bare type in lower case, empty when there is none, and the charset if one is named."""
    if content_type is None or content_type == "application/json":
        return content_type or "", None
    media, _, parameters = content_type.partition(";")
    charset = _CHARSET.search(parameters)
    return media.strip().lower(), charset[1] if charset else None


def is_json(media: str) -> bool:
    """Whether it says JSON, or nothing that contradicts it (client libraries put such defaults there)."""
    return media in _UNTYPED or media.endswith(("/json", "+json"))
