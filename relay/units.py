"""Parses durations, sizes, rates and shares in the operators' notation, and formats times.

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
_QUOTA: Final = re.compile(r"(\d+)/(h|d|mo)")
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")
_PERIODS: Final = {**_MILLISECONDS, "mo": 30 * 86_400_000}


def duration(text: str) -> int:
    """Parse `250ms 30s 5m 24h 30d` as milliseconds. Raises ValueError, which says what to write."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit, for example 250ms, 30s, 5m, 24h or 30d"
        )
    return round(float(match[1]) * _MILLISECONDS[match[2]])


def size(text: str) -> int:
    """Parse `64KiB 1MiB` as bytes. Raises ValueError, which says what to write."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write a number and a unit, for example 512B, 64KiB, 1MiB or 1GiB")
    return int(match[1]) * _BYTES[match[2]]


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of `count` starts in `period` milliseconds."""

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
    """Parse `20/s 600/m 50/h 9000/mo 5/10m`; a month has 30 days. Raises ValueError, which says what to write."""
    match = _RATE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0 or match[2].strip("0") == "" != match[2]:
        raise ValueError(
            f"{text!r} is not a rate: write a count and a period, for example 20/s, 600/m, 9000/mo or 5/10m"
        )
    return Rate(int(match[1]), int(match[2] or 1) * _PERIODS[match[3]])


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `count` in an hour (`h`), day (`d`) or month (`mo`) of the calendar."""

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count}/{self.unit}"


def quota(text: str) -> Quota:
    """Parse `20/h 500/d 9000/mo`. Raises ValueError, which says what to write."""
    match = _QUOTA.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError(
            f"{text!r} is not an amount of an hour, a day or a month: write for example 20/h, 500/d or 9000/mo"
        )
    return Quota(int(match[1]), match[2])


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the whole: above 0, at most 1."""

    part: float

    def __str__(self) -> str:
        return f"{self.part * 100:.6f}".rstrip("0").rstrip(".") + "%"


def share(text: str) -> Share:
    """`10%`, `0.5%` as a Share. Raises ValueError with what would be right."""
    match = _SHARE.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) <= 100:
        raise ValueError(f"{text!r} is not a share: write a percentage above 0 and at most 100, as 10% or 0.5%")
    return Share(float(match[1]) / 100)


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
    """A time in RFC 3339, UTC, with milliseconds: `2026-11-23T09:00:00.000Z`."""
    return f"{_second(milliseconds // 1_000)}.{milliseconds % 1_000:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """A second as ISO 8601, cached because many events share the current second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def parse_iso(text: str) -> int:
    """Parse an ISO 8601 time as milliseconds since the epoch. Without a zone it is UTC.

    Raises ValueError, also for a time outside of the years 1 to 9999 in UTC, which `iso` could not write.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * 1_000)
    if not _FIRST <= milliseconds <= _LAST:
        raise ValueError("not a time: out of range")
    return milliseconds
