"""Values that a protocol limits. They are checked at load, because otherwise connections would fail later.

AMQP 0-9-1, 4.2.5.3 (a short string has at most 255 bytes) and basic.qos (a short); RFC 9110, 5.1 (a header's name);
SQLite's and PostgreSQL's longest values, https://www.sqlite.org/limits.html and the manual's appendix K.
"""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from relay.written.kinds import TEXTS_SCHEMA, Count, Size, Text, listed, typed
from relay.written.reference import Opaque

SHORT: Final = 255
"""Bytes of a name in AMQP."""
PREFETCH: Final = 65_535
"""The maximum of basic.qos."""
PORTS: Final = 65_535
"""The maximum number of TCP connections between two addresses and to one port."""
BODY: Final = 900 << 20
"""Bytes that fit one value in both databases: the limits are 1,000,000,000 in SQLite, 1 GiB in PostgreSQL."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def over(text: str) -> str | None:
    """Describe why AMQP cannot carry a name; None when it can."""
    size = len(text.encode())
    return f"has {size} bytes, and AMQP allows {SHORT}: write a shorter name" if size > SHORT else None


def _name(value: Any) -> Any:
    if _is_text(value) and (message := over(value)):
        raise ValueError(message)
    return value


def _header(value: Any) -> Any:
    if _is_text(value) and value and not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is not a header name: write for example X-Signature")
    return value


def _replies(value: Any) -> Any:
    typed_value = typed(value)
    if isinstance(typed_value, bool):
        return typed_value
    names = listed(typed_value)
    if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
        raise ValueError("must be true, false, or names and globs of queues: write these as a list of texts")
    for name in names:
        _name(name)
    return names


def _storable(value: int) -> int:
    if value > BODY:
        raise ValueError(f"is more than the database can store in one value: write at most {BODY >> 20}MiB")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Opaque)


Name = Annotated[Text, BeforeValidator(_name)]
"""The name of a queue or an exchange."""
Names = Annotated[tuple[Name, ...], BeforeValidator(listed), TEXTS_SCHEMA]
"""Names or binding keys; a list must not be empty."""
Replies = Annotated[
    Annotated[bool, Field(strict=True)] | tuple[Name, ...],
    BeforeValidator(_replies),
    WithJsonSchema(
        {"anyOf": [{"type": ["boolean", "string"]}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
"""Whether results go to a message's `reply_to`, or the names and globs of the queues to which they may go."""


def _short(most: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": 1, "maximum": most}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": r"\$\{"}]})


Prefetch = Annotated[Count, Field(le=PREFETCH), _short(PREFETCH)]
Calls = Annotated[Count, Field(le=PORTS), _short(PORTS)]
"""Connections of one machine to one address."""
HeaderName = Annotated[Text, BeforeValidator(_header)]
BodySize = Annotated[Size, AfterValidator(_storable)]
