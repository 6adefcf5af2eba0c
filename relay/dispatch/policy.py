"""The operator's numbers for tries and waits."""

from collections.abc import Callable
from dataclasses import dataclass
from random import random as _random
from typing import Final

from relay.retry import backoff, delay

LOOKS: Final = (1_000, 5_000, 20_000)
"""When an unknown outcome is looked for, in ms after the attempt ended: soon, since presence is proof at once."""

LATER: Final = 30_000
"""The wait between looks after that, in ms."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations in ms. `timeout` is that of one call to Cargo; `random` gives numbers from 0 up to 1."""

    timeout: int
    first: int
    cap: int
    give_up_after: int
    settle: int
    random: Callable[[], float] = _random

    @property
    def margin(self) -> int:
        """What a lease must have left beyond the timeout when a call begins."""
        return max(250, min(5_000, self.timeout // 4))

    @property
    def lease(self) -> int:
        """How long a claim is leased: a wait for its start, the call, the margin twice."""
        return self.timeout + 1_000 + 2 * self.margin

    def wait(self, tries: int, retry_after: float | None = None) -> int:
        """Milliseconds before the next try; `tries` counts from 1 (0: a run that began with a look made none yet)."""
        return delay(max(0, tries - 1), retry_after, first=self.first, cap=self.cap, random=self.random)

    def look_in(self, looks: int, ended_ago: int) -> int:
        """Milliseconds until the next look for a chat, the moment when absence becomes proof not missed."""
        planned = (
            LOOKS[looks] - ended_ago
            if looks < len(LOOKS)
            else LATER + backoff(0, first=1_000, cap=1_000, random=self.random)
        )
        if ended_ago < self.settle:
            planned = min(planned, self.settle - ended_ago)
        return max(planned, 250)
