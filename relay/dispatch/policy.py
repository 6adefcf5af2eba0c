"""The configured retry and timeout durations of dispatches."""

from collections.abc import Callable
from dataclasses import dataclass
from random import random as _random
from typing import Final

from relay.retry import backoff, delay

LOOKS: Final = (1_000, 5_000, 20_000)
"""When to search for an unknown outcome, in ms after the attempt. Early, because a chat that is found is proof."""

LATER: Final = 30_000
"""The wait between later searches, in ms."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations in ms. `timeout` limits one call to Cargo; `random` returns numbers in [0, 1)."""

    timeout: int
    first: int
    cap: int
    give_up_after: int
    settle: int
    random: Callable[[], float] = _random

    @property
    def margin(self) -> int:
        """How much longer than `timeout` a lease must last when a call starts, in ms."""
        return max(250, min(5_000, self.timeout // 4))

    @property
    def lease(self) -> int:
        """The duration of a claim's lease, in ms: the wait for its start, the call, and the margin twice."""
        return self.timeout + 1_000 + 2 * self.margin

    def wait(self, tries: int, retry_after: float | None = None) -> int:
        """Milliseconds before the next try. `tries` counts from 1; it is 0 for a run that started with a search."""
        return delay(max(0, tries - 1), retry_after, first=self.first, cap=self.cap, random=self.random)

    def look_in(self, looks: int, ended_ago: int) -> int:
        """Milliseconds until the next search for a chat, so that one search falls on the end of `settle`.

        `looks` counts the searches so far; `ended_ago` is the age of the attempt's end in ms. After `settle` a search
        that finds nothing can prove that the chat does not exist.
        """
        planned = (
            LOOKS[looks] - ended_ago
            if looks < len(LOOKS)
            else LATER + backoff(0, first=1_000, cap=1_000, random=self.random)
        )
        if ended_ago < self.settle:
            planned = min(planned, self.settle - ended_ago)
        return max(planned, 250)
