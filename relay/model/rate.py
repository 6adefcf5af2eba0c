"""What was counted per minute, and what was used per day."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

from relay.model.frozen import frozen
from relay.telemetry import BOUNDS, TOOK


def quantile(took: Sequence[int], share: float) -> int | None:
    """The time in milliseconds within which this share (above 0) of results came, None where none came.

    Within a class the times are taken as evenly spread; beyond the last bound it is that bound.
    """
    total = sum(took)
    if not total:
        return None
    reached = list(accumulate(took))
    wanted = share * total
    number = bisect_left(reached, wanted)
    low = BOUNDS[number - 1] if number else 0
    high = BOUNDS[number] if number < len(BOUNDS) else low
    before = reached[number] - took[number]
    return round(low + (high - low) * (wanted - before) / took[number])


@frozen
class Measured:
    """What was counted from `at` (milliseconds since the epoch) on for a step. Names that are left out are 0."""

    at: int
    counts: Mapping[str, int]

    def took(self, share: float) -> int | None:
        """The time within which this share of results came."""
        return quantile([self.counts.get(name, 0) for name in TOOK], share)


@frozen
class RateQuery:
    """The rates of everything, or of one source or rule, from `since` until `until`, by `step` milliseconds."""

    since: int
    until: int
    step: int
    kind: str = "all"
    name: str = ""


@frozen
class Load:
    """The dispatches of a rule that are held, and that are parked."""

    held: int = 0
    parked: int = 0


@frozen
class Loads:
    """The load of each rule that has one. `complete` is False where there were too many to count them all."""

    by_rule: Mapping[str, Load]
    complete: bool


@frozen
class Usage:
    """The chats that a rule made on a day (`day`, its start in UTC), and what they have cost at Cargo.

    `credits` is None where Cargo was not asked, `asked_at` when it was asked last.
    """

    day: int
    rule: str
    chats: int
    credits: float | None
    asked_at: int | None
