"""Parses the times of senders.

Formats are seconds, milliseconds, microseconds or nanoseconds since 1970, ISO 8601 (also with a blank before the zone,
or a named zone: `2026-01-16 05:56:22 UTC`), the dates of HTTP and e-mail, and those of C and browsers
(`Fri Jan 16 05:56:22 +0000 2026`).
"""

import re
from collections.abc import Callable
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

from relay.units import iso, parse_iso

_NUMBER: Final = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))?")
_DATE: Final = re.compile(
    r"((Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(\d{1,2} )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
)
"""The start of dates of HTTP, e-mail (RFC 5322, where the day's name is optional) and C."""
_ISO: Final = re.compile(r"(\d{4}-\d{2}-\d{2}|\d{8}T|\d{4}-W\d{2}-\d)")
_ZONE: Final = re.compile(r" *(?:(UTC|GMT|Z)|([+-]\d{2}:?\d{2}))(?:\[[A-Z_/+-]{1,40}\]| [A-Z]{1,5})?$")
"""The zone; Java names its region behind it, too (`Z[UTC]`), and Go its name (`+0100 CET`)."""
_COMMENT: Final = re.compile(r" *\([^()]{0,80}\)")
_OFFSET: Final = re.compile(r" (?:GMT|UTC|UT)?([+-]\d{2}):?(\d{2})(?= |$)")
"""The zone of a date: browsers write `GMT+0100`, others a colon, which e-mail has not."""
_HALF_DAY: Final = re.compile(r"\b(1[0-2]|0?[1-9])((?::\d{2}){1,2})[ \u202f]?([AP])M\b", re.IGNORECASE)
_WORD: Final = re.compile("[A-Za-z]+")
_NAMES: Final = re.compile("Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec")
_LEAP: Final = re.compile(r"(\d\d:?\d\d:?)60(?=[.,Z+-]|$)")
"""The second that RFC 3339 allows and Python does not know; it is taken as the one before."""
_MILLISECONDS_FROM: Final = 100_000_000_000
"""Numbers from here on are milliseconds: it is the year 5138 in seconds, and 1973 in milliseconds. Those past the last
millisecond are microseconds, and those past the last microsecond are nanoseconds."""

_LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the end of RFC 3339's range."""

WRITE: Final[dict[str, Callable[[int], str]]] = {
    "seconds": lambda now: str(now // 1_000),
    "milliseconds": str,
    "rfc3339": lambda now: f"{iso(now)[:19]}Z",
    "http": lambda now: formatdate(now // 1_000, usegmt=True),
}
"""Functions that write a time in milliseconds since the epoch, by unit."""


@lru_cache(maxsize=256)
def read(text: str) -> int:
    """Parse a time of 1970 or later as milliseconds since the epoch. The format is detected. Raises ValueError.

    It is cached, because requests of the same second have the same time of signing.
    """
    return _bound(parse(text))


def parse(text: str) -> int:
    """Parse a time from the year 1 on as milliseconds since the epoch. Raises ValueError."""
    text = text.strip()
    if match := _NUMBER.fullmatch(text):
        number = int(match[1])
        if number < _MILLISECONDS_FROM:
            return number * 1_000 + int((match[2] or "")[:3].ljust(3, "0"))
        while number > _LAST:
            number //= 1_000
        return number
    is_date = _DATE.match(text) is not None
    if not text.isascii() or not (is_date or _ISO.match(text.upper())):
        raise ValueError("not a time: neither a number of seconds or milliseconds since 1970 nor RFC 3339")
    try:
        return _read_date(text) if is_date else _read_iso(text.upper())
    except (ValueError, OverflowError, TypeError, IndexError) as error:
        raise ValueError(f"not a time: {error}") from error


def _read_iso(text: str) -> int:
    text = _ZONE.sub(_zone, text)
    try:
        return parse_iso(text)
    except ValueError:
        date, clock = text[:10], text[10:]
        if not _LEAP.search(clock):
            raise
        return parse_iso(date + _LEAP.sub(r"\g<1>59", clock, count=1))


def _zone(match: re.Match[str]) -> str:
    return match[2] or "+00:00"


def _read_date(text: str) -> int:
    text = _OFFSET.sub(r" \1\2", _COMMENT.sub("", text))
    text = _HALF_DAY.sub(lambda match: f"{int(match[1]) % 12 + 12 * (match[3] in 'Pp')}{match[2]}", text)
    moment = parsedate_to_datetime(text)
    unknown = next((word for word in _WORD.findall(text) if not _NAMES.fullmatch(word)), None)
    if moment.tzinfo is None and unknown:  # the reader of e-mail takes it for UTC
        raise ValueError(f"its zone {unknown} is not known")
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def find(value: Any) -> int | None:
    """The time in a value of a payload, a text or number for `read`. None when it is not a time."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return read(f"{value:.3f}" if isinstance(value, float) else str(value))
    except (ValueError, OverflowError):
        return None


def _bound(milliseconds: int) -> int:
    if not 0 <= milliseconds <= _LAST:
        raise ValueError("not a time: out of range")
    return milliseconds
