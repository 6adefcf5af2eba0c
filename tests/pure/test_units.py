"""Rates as operators write them."""

import pytest

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
