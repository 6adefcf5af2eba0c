"""When a schedule is open: times of the week in one zone, with days left out (RULES, `schedule`).

`mon-fri 09:00-18:00 Europe/Paris`: days may be left out (every day), several stand with commas (`mon,wed-fri`), and so
may the zone (UTC). Hours may pass midnight (`22:00-02:00` belongs to the day on which it opens) or end at `24:00`.

It is open while the clocks of the zone show such a time. So an hour that is skipped when clocks go forward is never
open, what would open in it opens at the change, and an hour that comes twice is open twice.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from relay.rules.zones import require_zone

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES: Final = 24 * 60
_SPAN: Final = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})", re.ASCII)
_DAY: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_HORIZON: Final = 366
"""Days in which a schedule that ever opens has opened, beyond the last day of `except`."""
_EXAMPLE: Final = "mon-fri 09:00-18:00 Europe/Paris"


@dataclass(frozen=True, slots=True)
class Hours:
    """`begin` and `end` are minutes from the midnight of a day in `days` (0 is Monday); past 1,440 is the next day."""

    days: frozenset[int]
    begin: int
    end: int
    zone: str

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in sorted(self.days))
        end = self.end if self.end <= _MINUTES else self.end - _MINUTES
        return f"{days} {_clock(self.begin)}-{_clock(end)} {self.zone}"

    def is_open(self, instant: int, closed: frozenset[date]) -> bool:
        """Whether it is open at a millisecond since the epoch, but for what opens on a day in `closed`."""
        local = _local(instant // 1_000, require_zone(self.zone))
        minute = local.hour * 60 + local.minute
        today, yesterday = local.date(), local.date() - timedelta(days=1)
        return any(
            self.begin <= shown < self.end and day.weekday() in self.days and day not in closed
            for day, shown in ((today, minute), (yesterday, minute + _MINUTES))
        )

    def opens_at(self, instant: int, closed: frozenset[date]) -> int:
        """The first millisecond from `instant` on at which it is open. Raises ValueError where there is none."""
        if self.is_open(instant, closed):
            return instant
        zone = require_zone(self.zone)
        today = _local(instant // 1_000, zone).date()
        last = max([today, *closed]) + timedelta(days=_HORIZON)
        day = today - timedelta(days=1)
        while day <= last:
            for each in _turns(day, self.begin, zone):
                if each >= instant and self.is_open(each, closed):
                    return each
            day += timedelta(days=1)
        raise ValueError(f"{self} never opens after {today}")


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open while any of `hours` is, but for what opens on a day in `closed`, by the zone of those hours."""

    hours: tuple[Hours, ...]
    closed: frozenset[date] = frozenset()

    def opens_at(self, instant: int) -> int:
        """The first millisecond since the epoch, from `instant` on, at which it is open; `instant` itself if it is.

        Raises ValueError where it never opens again.
        """
        return min(hours.opens_at(instant, self.closed) for hours in self.hours)


def read_schedule(open_: Sequence[str], closed: Iterable[str] = ()) -> Calendar:
    """A schedule as it is written. Raises ValueError with what would be right, also where it never opens."""
    if not open_:
        raise ValueError(f"it never opens: write when it does, as {_EXAMPLE}")
    return Calendar(tuple(map(read_hours, open_)), frozenset(map(read_day, closed)))


def read_hours(text: str) -> Hours:
    """`mon-fri 09:00-18:00 Europe/Paris`. Raises ValueError with what would be right."""
    words = text.split()
    spans = [number for number, word in enumerate(words) if _SPAN.fullmatch(word)]
    if len(spans) != 1 or spans[0] > 1 or len(words) > spans[0] + 2:
        raise ValueError(f"{text!r} is not a schedule: write days, hours and a zone, as {_EXAMPLE}")
    at = spans[0]
    zone = words[at + 1] if len(words) > at + 1 else "UTC"
    require_zone(zone)
    begin, end = _read_span(words[at])
    return Hours(_read_days(words[0]) if at else frozenset(range(7)), begin, end, zone)


def window(instant: int, unit: str, zone: ZoneInfo) -> tuple[int, int]:
    """The hour (`h`), day (`d`) or month (`mo`) of a zone's calendar around an instant: its start and the next one's.

    All are milliseconds since the epoch.
    """
    local = _local(instant // 1_000, zone)
    if unit == "h":
        start = instant - instant % 1_000 - (local.minute * 60 + local.second) * 1_000
        return start, start + 3_600_000
    today = local.date() if unit == "d" else local.date().replace(day=1)
    following = today + timedelta(days=1) if unit == "d" else (today + timedelta(days=31)).replace(day=1)
    first, midnight = (datetime.combine(day, time(), zone) for day in (today, following))
    start, end = 1_000 * _seconds(first), 1_000 * _seconds(midnight)
    # A midnight that comes twice begins the day at its second time, too: until then clocks show the day before again.
    return start, end if end > instant else 1_000 * _seconds(midnight.replace(fold=1))


def read_day(text: str) -> date:
    """`2026-12-25`. Raises ValueError with what would be right."""
    match = _DAY.fullmatch(text)
    try:
        return date(*map(int, match.groups())) if match else date(0, 0, 0)
    except ValueError:
        raise ValueError(f"{text!r} is not a day: write it as 2026-12-25") from None


def _read_span(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    assert match is not None  # noqa: S101 - the caller has looked
    (begin, end) = (_minutes(match[1], match[2]), _minutes(match[3], match[4]))
    if begin is None or end is None or begin == _MINUTES:
        raise ValueError(f"{text!r} are not hours of a day: write them as 09:00-18:00, the last at 24:00")
    if begin == end:
        raise ValueError(f"{text!r} never opens: it ends when it begins; all day is 00:00-24:00")
    return begin, end if end > begin else end + _MINUTES


def _minutes(hour: str, minute: str) -> int | None:
    minutes = int(hour) * 60 + int(minute)
    return minutes if int(minute) < 60 and minutes <= _MINUTES else None


def _read_days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{text!r} are not days: write {', '.join(DAYS)}, as mon-fri or sat,sun")
        begin, end = DAYS.index(first), DAYS.index(last) if dash else DAYS.index(first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _turns(day: date, minutes: int, zone: ZoneInfo) -> list[int]:
    """The instants of a day at which it may open, in order: its hour, which may come twice, and a change of clocks."""
    opening = datetime.combine(day, time(minutes // 60, minutes % 60), zone)
    begin, end = (_seconds(datetime.combine(day + timedelta(days=days), time(), zone)) for days in (0, 1))
    changes = [_change(begin, end, zone)] if _offset(begin, zone) != _offset(end, zone) else []
    return sorted({1_000 * each for each in (_seconds(opening), _seconds(opening.replace(fold=1)), *changes)})


def _change(begin: int, end: int, zone: ZoneInfo) -> int:
    """The second at which the offset changes between two."""
    before = _offset(begin, zone)
    while end - begin > 1:
        middle = (begin + end) // 2
        begin, end = (middle, end) if _offset(middle, zone) == before else (begin, middle)
    return end


def _local(seconds: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(seconds, zone)


def _offset(seconds: int, zone: ZoneInfo) -> timedelta | None:
    return _local(seconds, zone).utcoffset()


def _seconds(local: datetime) -> int:
    return int(local.timestamp())


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
