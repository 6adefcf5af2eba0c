"""From a message's bytes to JSON text: content encodings and content types."""

import re
from typing import Final

from relay.errors import Rejected
from relay.schemes.document import Unreadable
from relay.schemes.inflate import inflate as expand

_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\";\s]+)", re.IGNORECASE)
_UNTYPED: Final = frozenset({"", "text/plain", "application/octet-stream"})


def inflate(body: bytes, encoding: str | None, most: int) -> bytes:
    """The body without its content encoding.

    Raises Unreadable for an unknown encoding and (`too_large`) for a body of more than `most` bytes before or after
    inflating. Raises `Heavy` (see `relay.effort`).
    """
    if len(body) > most:
        raise Unreadable("too_large", f"the body has {len(body)} bytes; at most {most} are taken (max_message)")
    try:
        return expand(body, encoding, most)
    except Rejected as error:
        if error.status == 413:
            raise Unreadable("too_large", f"the body inflates to more than {most} bytes (max_message)") from None
        raise Unreadable("encoding", f"content encoding {encoding!r} is unknown: send gzip, deflate or none") from None


def media_type(content_type: str | None) -> tuple[str, str | None]:
    """The type in lower case without parameters, empty when there is none, and the charset, None when none is named."""
    if content_type is None or content_type == "application/json":
        return content_type or "", None
    media, _, parameters = content_type.partition(";")
    charset = _CHARSET.search(parameters)
    return media.strip().lower(), charset[1] if charset else None


def is_json(media: str) -> bool:
    """Whether a media type is JSON, or one that client libraries set by default and that says nothing."""
    return media in _UNTYPED or media.endswith(("/json", "+json"))
