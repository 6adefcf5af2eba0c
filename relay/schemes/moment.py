"""Times as senders write them: seconds or milliseconds since 1970, or RFC 3339."""

import re
from collections.abc import Callable
from typing import Any, Final

from relay.units import iso, parse_iso

_NUMBER: Final = re.compile(r"[0-9]{1,16}")
_MILLISECONDS_FROM: Final = 100_000_000_000
"""Above it a number is milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973."""

_LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, RFC 3339's end of time."""

WRITE: Final[dict[str, Callable[[int], str]]] = {
    "seconds": lambda now: str(now // 1_000),
    "milliseconds": str,
    "rfc3339": lambda now: f"{iso(now)[:19]}Z",
}
"""How a time in milliseconds since the epoch is written in each unit."""


def read(text: str) -> int:
    """A time as milliseconds since the epoch; which of the forms it has shows by itself. Raises ValueError."""
    if _NUMBER.fullmatch(text):
        number = int(text)
        return _bound(number if number >= _MILLISECONDS_FROM else number * 1_000)
    if not text.isascii() or "-" not in text[:5]:
        raise ValueError("not a time: neither a number of seconds or milliseconds since 1970 nor RFC 3339")
    try:
        return _bound(parse_iso(text))
    except OverflowError as error:
        raise ValueError("not a time: out of range") from error


def find(value: Any) -> int | None:
    """A time in a payload: text or number as `read` takes it, None when it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return read(value if isinstance(value, str) else str(int(value)))
    except (ValueError, OverflowError):
        return None


def _bound(milliseconds: int) -> int:
    if not 0 <= milliseconds <= _LAST:
        raise ValueError("not a time: out of range")
    return milliseconds
