"""Computes the wait before the next try."""

from collections.abc import Callable
from typing import Final

MOST_RETRY_AFTER: Final = 3_600_000
"""The longest `Retry-After` that Relay honours, in ms. A longer one is cut to this."""


def backoff(tries: int, *, first: int, cap: int, random: Callable[[], float]) -> int:
    """Exponential back-off with full jitter, in ms: a random wait up to `first * 2**tries`, capped at `cap`.

    `random` returns numbers in [0, 1) (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    ceiling = min(cap, first << min(tries, 40))
    return round(ceiling * random())


def delay(tries: int, retry_after: float | None, *, first: int, cap: int, random: Callable[[], float]) -> int:
    """The wait in ms before the next try: `retry_after` (seconds) if the server sent one, else the back-off.

    Up to `first` ms of jitter are added to `retry_after`, so that callers given the same time do not all retry at once.
    """
    jitter = backoff(tries, first=first, cap=cap, random=random)
    if retry_after is None:
        return jitter
    return min(round(retry_after * 1_000), MOST_RETRY_AFTER) + min(jitter, first)
