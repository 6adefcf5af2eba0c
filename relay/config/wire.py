"""Values that go over a wire, each within what its protocol can carry: told at load, or else nothing ever connects.

AMQP 0-9-1, 4.2.5.3 (a short string has at most 255 bytes) and basic.qos (a short); RFC 9110, 5.1 (a header's name);
SQLite's and PostgreSQL's longest values, https://www.sqlite.org/limits.html and the manual's appendix K.
"""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from relay.config.fill import Opaque
from relay.config.kinds import TEXTS_SCHEMA, Count, Size, Text, listed, typed

SHORT: Final = 255
"""Bytes of a name in AMQP."""
PREFETCH: Final = 65_535
"""The most that basic.qos can ask for."""
PORTS: Final = 65_535
"""The most connections that TCP has between two addresses."""
BODY: Final = 900 << 20
"""Bytes that both databases hold in one value: SQLite 1,000,000,000, PostgreSQL 1 GiB."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def over(text: str) -> str | None:
    """What to say of a name that AMQP cannot carry."""
    size = len(text.encode())
    return f"has {size} bytes, and AMQP carries {SHORT}: write a shorter name" if size > SHORT else None


def _name(value: Any) -> Any:
    if _is_text(value) and (told := over(value)):
        raise ValueError(told)
    return value


def _header(value: Any) -> Any:
    if _is_text(value) and value and not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of a header: write one as X-Signature")
    return value


def _replies(value: Any) -> Any:
    given = typed(value)
    if isinstance(given, bool):
        return given
    names = listed(given)
    if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
        raise ValueError("must be true, false, or the names and globs of queues: write them as a list of texts")
    for name in names:
        _name(name)
    return names


def _storable(value: int) -> int:
    if value > BODY:
        raise ValueError(f"is more than a database holds in one value: write at most {BODY >> 20}MiB")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Opaque)


Name = Annotated[Text, BeforeValidator(_name)]
"""The name of a queue or an exchange."""
Names = Annotated[tuple[Name, ...], BeforeValidator(listed), TEXTS_SCHEMA]
"""Names or binding keys, at least one where there is a list."""
Replies = Annotated[
    Annotated[bool, Field(strict=True)] | tuple[Name, ...],
    BeforeValidator(_replies),
    WithJsonSchema(
        {"anyOf": [{"type": ["boolean", "string"]}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
"""Whether answers are sent where a message says, or the names and globs of the queues to which they may go."""


def _short(most: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": 1, "maximum": most}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": r"\$\{"}]})


Prefetch = Annotated[Count, Field(le=PREFETCH), _short(PREFETCH)]
Calls = Annotated[Count, Field(le=PORTS), _short(PORTS)]
"""Connections of one machine to one address."""
HeaderName = Annotated[Text, BeforeValidator(_header)]
BodySize = Annotated[Size, AfterValidator(_storable)]
