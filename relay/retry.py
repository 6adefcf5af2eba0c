"""How long to wait before the next try."""

from collections.abc import Callable
from typing import Final

MOST_RETRY_AFTER: Final = 3_600_000
"""The longest `Retry-After` that is obeyed, in ms: an answer cannot put a dispatch off for longer."""


def backoff(tries: int, *, first: int, cap: int, random: Callable[[], float]) -> int:
    """Exponential back-off with full jitter, in ms: anywhere up to `first` doubled `tries` times, at most `cap`.

    `random` gives numbers from 0 up to 1 (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    ceiling = min(cap, first << min(tries, 40))
    return round(ceiling * random())


def delay(tries: int, retry_after: float | None, *, first: int, cap: int, random: Callable[[], float]) -> int:
    """The wait in ms before the next try: what the other side asked for (seconds), else the back-off.

    A little of the back-off comes on top of `retry_after`, so that those told the same moment do not meet at it.
    """
    jitter = backoff(tries, first=first, cap=cap, random=random)
    if retry_after is None:
        return jitter
    return min(round(retry_after * 1_000), MOST_RETRY_AFTER) + min(jitter, first)
