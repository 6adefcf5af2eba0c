"""Times as senders write them: seconds or milliseconds since 1970, ISO 8601, also with a blank before the zone or a
zone by name (`2026-01-16 05:56:22 UTC`), HTTP's and e-mail's dates, and those of C (`Fri Jan 16 05:56:22 +0000
2026`)."""

import re
from collections.abc import Callable
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

from relay.units import iso, parse_iso

_NUMBER: Final = re.compile(r"([0-9]{1,16})(\.[0-9]{1,9})?")
_DATE: Final = re.compile(
    r"((Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(\d{1,2} )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
)
"""How the dates of HTTP, of e-mail (RFC 5322, the day's name may be missing) and of C begin."""
_ISO: Final = re.compile(r"(\d{4}-\d{2}-\d{2}|\d{8}T|\d{4}-W\d{2}-\d)")
_ZONE: Final = re.compile(r" *(?:(UTC|GMT|Z)|([+-]\d{2}:?\d{2}))$")
_MILLISECONDS_FROM: Final = 100_000_000_000
"""Above it a number is milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973."""

_LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, RFC 3339's end of time."""

WRITE: Final[dict[str, Callable[[int], str]]] = {
    "seconds": lambda now: str(now // 1_000),
    "milliseconds": str,
    "rfc3339": lambda now: f"{iso(now)[:19]}Z",
    "http": lambda now: formatdate(now // 1_000, usegmt=True),
}
"""How a time in milliseconds since the epoch is written in each unit."""


@lru_cache(maxsize=256)
def read(text: str) -> int:
    """A time as milliseconds since the epoch, of 1970 or later; which of the forms it has shows by itself. Raises
    ValueError.

    The requests of one second have one time of signing.
    """
    return _bound(parse(text))


def parse(text: str) -> int:
    """The same of any time that Relay can write, from the year 1 on. Raises ValueError."""
    text = text.strip()
    if match := _NUMBER.fullmatch(text):
        number = int(match[1])
        if number >= _MILLISECONDS_FROM:
            return number
        return number * 1_000 + int(float(match[2] or 0) * 1_000)
    if not text.isascii() or not (_ISO.match(text) or _DATE.match(text)):
        raise ValueError("not a time: neither a number of seconds or milliseconds since 1970 nor RFC 3339")
    try:
        return _read_date(text) if _DATE.match(text) else parse_iso(_ZONE.sub(_zone, text))
    except (OverflowError, TypeError, IndexError) as error:
        raise ValueError("not a time: out of range") from error


def _zone(match: re.Match[str]) -> str:
    return match[2] or "+00:00"


def _read_date(text: str) -> int:
    moment = parsedate_to_datetime(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def find(value: Any) -> int | None:
    """A time in a payload: text or number as `read` takes it, None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return read(value if isinstance(value, str) else str(int(value)))
    except (ValueError, OverflowError):
        return None


def _bound(milliseconds: int) -> int:
    if not 0 <= milliseconds <= _LAST:
        raise ValueError("not a time: out of range")
    return milliseconds
