"""Starts of the last window under one key: pairs of a time in milliseconds and a count, oldest first.

A rate of up to `EXACT` starts has each of them in it. Of a higher one, starts that are near each other share a pair
with the time of the last of them, so that it stays short: they count for a little longer, never for less.
"""

from collections.abc import Sequence
from typing import Final

Starts = list[list[int]]

EXACT: Final = 128
"""Pairs of a window."""
_AHEAD: Final = 1_000
"""Milliseconds by which a claim may precede the start of its call."""


def recent(starts: Sequence[Sequence[int]], now: int, period: int) -> Starts:
    """Those that count at `now`. What lies further ahead, since the clock was set back, counts as of now."""
    return [[min(at, now + _AHEAD), count] for at, count in starts if at > now - period]


def total(starts: Starts) -> int:
    return sum(count for _, count in starts)


def add(starts: Starts, at: int, most: int, period: int) -> Starts:
    """The starts with one more at `at`. `most` is how many a window has room for."""
    if not starts:
        return [[at, 1]]
    last, count = starts[-1]
    at = max(at, last)
    grain = 1 if most <= EXACT else -(-period // EXACT)
    if at // grain == last // grain:
        return [*starts[:-1], [at, count + 1]]
    return [*starts, [at, 1]]
