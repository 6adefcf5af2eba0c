"""Durations, sizes and rates as operators write them, and times as Relay prints them.

Inside Relay a duration is an integer of milliseconds, a size an integer of bytes, a time an integer of
milliseconds since the Unix epoch, UTC.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_MILLISECONDS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE: Final = re.compile(r"(\d+)(B|KiB|MiB|GiB)?")
_BYTES: Final = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_FIRST: Final = -62_135_596_800_000  # the year 1
_LAST: Final = 253_402_300_799_999  # the end of the year 9999
_RATE: Final = re.compile(r"(\d+)/(\d*)(s|m|h|d|mo)")
_PERIODS: Final = {**_MILLISECONDS, "mo": 30 * 86_400_000}


def duration(text: str) -> int:
    """`250ms 30s 5m 24h 30d` as milliseconds. Raises ValueError with what would be right."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number and a unit, as 250ms, 30s, 5m, 24h or 30d")
    return round(float(match[1]) * _MILLISECONDS[match[2]])


def size(text: str) -> int:
    """`64KiB 1MiB` as bytes. Raises ValueError with what would be right."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write a number and a unit, as 512B, 64KiB, 1MiB or 1GiB")
    return int(match[1]) * _BYTES[match[2]]


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` starts in `period` milliseconds."""

    count: int
    period: int

    @property
    def spacing(self) -> float:
        """Milliseconds between two starts."""
        return self.period / self.count

    def __str__(self) -> str:
        whole = [unit for unit, length in _PERIODS.items() if length == self.period]
        if whole:
            return f"{self.count}/{whole[0]}"
        unit = next(unit for unit in ("d", "h", "m", "s") if self.period % _MILLISECONDS[unit] == 0)
        return f"{self.count}/{self.period // _MILLISECONDS[unit]}{unit}"


def rate(text: str) -> Rate:
    """`20/s 600/m 50/h 1000/d 9000/mo 5/10m` as a Rate; a month has 30 days. Raises ValueError with what is right."""
    match = _RATE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0 or match[2].strip("0") == "" != match[2]:
        raise ValueError(f"{text!r} is not a rate: write a count and a period, as 20/s, 600/m, 9000/mo or 5/10m")
    return Rate(int(match[1]), int(match[2] or 1) * _PERIODS[match[3]])


def show(milliseconds: float) -> str:
    """A duration for people: `250ms`, `1.5s`, `2m 5s`, `3h 4m`, `2d 1h`."""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f}ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1_000:.3g}s"
    units = (("d", "h", 24), ("h", "m", 60), ("m", "s", 60))
    big, small, parts = next(unit for unit in units if milliseconds >= _MILLISECONDS[unit[0]])
    whole, rest = divmod(int(milliseconds // _MILLISECONDS[small]), parts)
    return f"{whole}{big} {rest}{small}" if rest else f"{whole}{big}"


def iso(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-23T09:00:00.000Z`."""
    return f"{_second(milliseconds // 1_000)}.{milliseconds % 1_000:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Of what happens now, much happens in the same second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def parse_iso(text: str) -> int:
    """An ISO 8601 moment as milliseconds since the epoch; without a zone it is taken as UTC.

    Raises ValueError, also for one that `iso` could not write: in UTC it lies beyond the years 1 to 9999.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * 1_000)
    if not _FIRST <= milliseconds <= _LAST:
        raise ValueError("not a time: out of range")
    return milliseconds
