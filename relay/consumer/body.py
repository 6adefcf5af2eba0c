"""From a message's bytes to JSON text: content encodings and content types."""

import re
import zlib
from typing import Final

from relay import effort
from relay.schemes.document import Unreadable

_NONE: Final = frozenset({"", "identity", "utf-8", "utf8", "us-ascii", "ascii", "binary", "8bit"})
"""Some libraries (kombu, MassTransit) put the charset there."""
_WINDOW: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\";\s]+)", re.IGNORECASE)
_UNTYPED: Final = frozenset({"", "text/plain", "application/octet-stream"})


def inflate(body: bytes, encoding: str | None, most: int) -> bytes:
    """The body without its content encoding. Raises Unreadable, also (`too_large`) for one of more than `most` bytes
    before or after, and `Heavy` (see `relay.effort`)."""
    if len(body) > most:
        raise Unreadable("too_large", f"the body has {len(body)} bytes; at most {most} are taken (max_message)")
    name = (encoding or "").strip().lower()
    if name in _NONE:
        return body
    if name not in _WINDOW:
        raise Unreadable("encoding", f"content encoding {name!r} is unknown: send gzip, deflate or none")
    effort.require((len(body), effort.SIZE))
    limit = most if effort.is_full() else min(most, effort.SIZE)
    machine = zlib.decompressobj(_WINDOW[name])
    try:
        inflated = machine.decompress(body, limit + 1)
    except zlib.error as error:
        raise Unreadable("encoding", f"the body is not {name}: {error}") from None
    if len(inflated) > limit:
        if limit < most:
            raise effort.Heavy
        raise Unreadable("too_large", f"the body inflates to more than {most} bytes (max_message)")
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
