"""Durations, rates and shares as operators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import units
from relay.units import Rate, rate

DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [
        ("20/s", 20, 1_000),
        ("600/m", 600, 60_000),
        ("50/h", 50, 3_600_000),
        ("1000/d", 1_000, DAY),
        ("9000/mo", 9_000, 30 * DAY),
        ("5/10m", 5, 600_000),
        ("1/90s", 1, 90_000),
    ],
)
def test_a_rate_is_read_and_written_alike(text: str, count: int, period: int) -> None:
    assert rate(text) == Rate(count, period)
    assert str(rate(text)) == text


def test_the_same_rate_in_other_words_is_written_in_the_shortest() -> None:
    assert [str(rate(text)) for text in ("5/60s", "5/1m", "2/48h", "1/30d")] == ["5/m", "5/m", "2/2d", "1/mo"]


@pytest.mark.parametrize("text", ["", "5", "0/s", "5/0s", "5/0m", "5/00m", "-1/s", "1.5/s", "5/ms", "5/y", "5/1.5m"])
def test_what_is_no_rate_says_what_would_be_one(text: str) -> None:
    with pytest.raises(ValueError, match="write a count and a period"):
        rate(text)


UNITS = st.sampled_from(["s", "m", "h", "d", "mo"])
COUNTS = st.integers(1, 10**6)


@given(COUNTS, st.none() | st.integers(1, 10**4), UNITS)
def test_a_rate_reads_back_as_it_is_written(count, times, unit):
    given_rate = units.rate(f"{count}/{times or ''}{unit}")
    assert given_rate == units.rate(str(given_rate))
    one = units.rate(f"1/{unit}")
    assert (given_rate.count, given_rate.period) == (count, (times or 1) * one.period)
    assert given_rate.spacing * count == pytest.approx(given_rate.period)


@given(st.integers(1, 10**8))
def test_a_share_reads_back_as_it_is_written(millionths):
    text = f"{millionths / 10**6:.6f}%"
    given_share = units.share(text)
    assert given_share.part == pytest.approx(millionths / 10**8)
    assert 0 < given_share.part <= 1
    assert units.share(str(given_share)).part == pytest.approx(given_share.part)


@given(st.text(st.sampled_from("0123456789/.%smhdo -"), max_size=8))
def test_what_is_neither_is_refused_with_what_is_right(text):
    for read, right in ((units.rate, "20/s, 600/m"), (units.share, "as 10%"), (units.duration, "250ms, 30s")):
        try:
            read(text)
        except ValueError as error:
            assert right in str(error)  # noqa: PT017 - it may also be right


@pytest.mark.parametrize("text", ["0%", "0.0%", "101%", "10", "-1%", "1e1%", "%"])
def test_a_share_of_nothing_or_of_more_than_all_is_refused(text):
    with pytest.raises(ValueError, match="is not a share"):
        units.share(text)
