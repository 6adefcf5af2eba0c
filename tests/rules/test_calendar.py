"""When a schedule is open, against a model that asks the clock of the zone minute by minute."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.rules.calendar import DAYS, read_hours, read_schedule, window

ZONES = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "America/St_Johns"]
CHANGES = ["2026-03-29T00:00:00", "2026-10-25T00:00:00", "2026-03-08T05:00:00", "2026-11-01T04:00:00"]
CLOCK = st.tuples(st.integers(0, 23), st.integers(0, 59))
HOURS = st.tuples(st.sets(st.sampled_from(DAYS), min_size=1), CLOCK, CLOCK | st.just((24, 0)), st.sampled_from(ZONES))
NEAR_CHANGE = st.builds(
    lambda text, minutes: ms(text) + minutes * 60_000, st.sampled_from(CHANGES), st.integers(-1440, 2 * 1440)
)


def ms(text):
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def at(text, zone="Europe/Paris"):
    """A local time, as milliseconds since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1_000)


def is_open(hours, closed, instant):
    """By what a clock on a wall shows: today's hours, or yesterday's that pass midnight."""
    days, begin, end, zone = hours
    local = datetime.fromtimestamp(instant / 1_000, ZoneInfo(zone))
    shown, today = (local.hour, local.minute), local.date()
    yesterday = today - timedelta(days=1)

    def opens_on(day):
        return DAYS[day.weekday()] in days and day not in closed

    if begin < end:
        return opens_on(today) and begin <= shown < end
    return (opens_on(today) and shown >= begin) or (opens_on(yesterday) and shown < end)


def write(hours):
    days, begin, end, zone = hours
    return f"{','.join(sorted(days))} {begin[0]:02}:{begin[1]:02}-{end[0]:02}:{end[1]:02} {zone}"


@settings(max_examples=60, deadline=None)
@given(HOURS.filter(lambda hours: hours[1] != hours[2]), NEAR_CHANGE, st.sets(st.integers(-2, 9)))
@example(({"sun"}, (2, 30), (5, 0), "Europe/Paris"), ms("2026-03-28T23:00:00"), set())
@example(({"sun"}, (2, 15), (2, 45), "Europe/Paris"), ms("2026-10-25T00:46:00"), set())
@example(({"sat"}, (22, 0), (2, 30), "Europe/Paris"), ms("2026-10-25T01:31:00"), {-1})
def test_it_opens_when_the_model_is_open_first(hours, instant, offsets):
    first = datetime.fromtimestamp(instant / 1_000, UTC).date()
    closed = {first + timedelta(days=offset) for offset in offsets}
    opens = read_schedule([write(hours)], [day.isoformat() for day in closed]).opens_at(instant)
    assert opens >= instant
    assert is_open(hours, closed, opens)
    minutes = range(instant, min(opens, instant + 3 * 1440 * 60_000), 60_000)
    assert not any(is_open(hours, closed, minute) for minute in minutes)


@pytest.mark.parametrize(
    ("schedule", "closed", "asked", "opens"),
    [
        (["mon-fri 09:00-18:00 Europe/Paris"], [], "2026-11-27T17:59:59", "2026-11-27T17:59:59"),
        (["mon-fri 09:00-18:00 Europe/Paris"], [], "2026-11-27T18:00:00", "2026-11-30T09:00:00"),
        (["mon-fri 09:00-18:00 Europe/Paris"], ["2026-11-30"], "2026-11-27T18:00:00", "2026-12-01T09:00:00"),
        (["fri 22:00-02:00 Europe/Paris"], [], "2026-11-28T01:59:00", "2026-11-28T01:59:00"),
        (["fri 22:00-02:00 Europe/Paris"], ["2026-11-27"], "2026-11-28T01:59:00", "2026-12-04T22:00:00"),
        (["20:00-24:00 Europe/Paris"], [], "2026-11-27T23:59:59", "2026-11-27T23:59:59"),
        (["20:00-24:00 Europe/Paris"], [], "2026-11-28T00:00:00", "2026-11-28T20:00:00"),
        (["02:30-03:30 Europe/Paris"], [], "2026-03-29T01:59:00", "2026-03-29T03:00:00"),
        (["mon 09:00-10:00 Europe/Paris", "sat 08:00-09:00 Europe/Paris"], [], "2026-11-27T12:00", "2026-11-28T08:00"),
        (["sat-mon 09:00-10:00 Europe/Paris"], [], "2026-11-27T12:00:00", "2026-11-28T09:00:00"),
    ],
)
def test_a_schedule_opens_in_its_zone(schedule, closed, asked, opens):
    assert read_schedule(schedule, closed).opens_at(at(asked)) == at(opens)


def test_without_days_and_zone_it_is_every_day_in_utc():
    hours = read_hours("09:00-10:00")
    assert (len(hours.days), hours.zone) == (7, "UTC")
    assert str(read_hours("fri-sun 22:00-02:00 UTC")) == "fri,sat,sun 22:00-02:00 UTC"


def test_years_of_closed_days_are_passed_over():
    closed = [(date(2026, 11, 1) + timedelta(days=days)).isoformat() for days in range(1_000)]
    assert read_schedule(["09:00-10:00"], closed).opens_at(ms("2026-11-29T00:00:00")) == ms("2029-07-28T09:00:00")


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ([], "it never opens: write when it does"),
        (["mon 09:00-09:00 UTC"], "never opens: it ends when it begins; all day is 00:00-24:00"),
        (["mon 09:00-18:00 Europe/Pariss"], "there is no time zone 'Europe/Pariss'"),
        (["mo 09:00-18:00 UTC"], "'mo' are not days"),
        (["mon 09:00-24:01 UTC"], "are not hours of a day"),
        (["mon 24:00-02:00 UTC"], "are not hours of a day"),
        (["mon 9-18 UTC"], "is not a schedule"),
        (["mon 09:00-12:00 13:00-18:00 UTC"], "is not a schedule"),
        (["mon 09:00-12:00 UTC please"], "is not a schedule"),
        (["mon-fri"], "is not a schedule"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_is_right(schedule, told):
    with pytest.raises(ValueError, match=r"write|all day is") as refused:
        read_schedule(schedule)
    assert told in str(refused.value)


@pytest.mark.parametrize("day", ["2026-13-01", "20261225", "christmas", "2026-W52-5"])
def test_what_is_no_day_is_refused(day):
    with pytest.raises(ValueError, match=r"is not a day: write it as 2026-12-25"):
        read_schedule(["09:00-18:00"], [day])


@pytest.mark.parametrize(
    ("moment", "unit", "zone", "start", "end"),
    [
        ("2026-11-23T09:15:30", "h", "UTC", "2026-11-23T09:00", "2026-11-23T10:00"),
        ("2026-11-23T09:15:30", "h", "Asia/Kolkata", "2026-11-23T09:00", "2026-11-23T10:00"),
        ("2026-11-23T23:59:59", "d", "Europe/Paris", "2026-11-23", "2026-11-24"),
        ("2026-03-29T12:00", "d", "Europe/Paris", "2026-03-29", "2026-03-30"),
        ("2026-12-31T23:00", "mo", "Europe/Paris", "2026-12-01", "2027-01-01"),
        ("2028-02-29T00:00", "mo", "America/New_York", "2028-02-01", "2028-03-01"),
    ],
)
def test_a_window_of_the_calendar_is_that_of_its_zone(moment, unit, zone, start, end):
    assert window(at(moment, zone), unit, ZoneInfo(zone)) == (at(start, zone), at(end, zone))


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/Havana", "America/Santiago", "Asia/Beirut", "Pacific/Apia"])
@pytest.mark.parametrize("unit", ["h", "d", "mo"])
def test_windows_follow_one_another_also_where_clocks_change_at_midnight(zone, unit):
    moment, stop = at("2010-12-01", "UTC"), at("2012-01-10", "UTC")
    while moment < stop:
        start, end = window(moment, unit, ZoneInfo(zone))
        assert start <= moment < end
        assert end - start <= 32 * 86_400_000
        moment += 1_799_000 if unit == "h" else 3_001_000
