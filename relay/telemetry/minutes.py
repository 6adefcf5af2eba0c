"""Counts what happens in memory, until it is added to the ledger's minutes."""

from collections.abc import Mapping
from typing import Final

BOUNDS: Final = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Milliseconds: the upper bounds of the classes in which times to the result are counted. The last class has none."""
TOOK: Final = tuple(f"took_{number}" for number in range(len(BOUNDS) + 1))
COUNTS: Final = (
    *("accepted", "unmatched", "duplicate", "unreadable", "refused", "chats", "failed", "parked", "ended"),
    *("ignored", "sampled", "unchanged", "stale", "shadow"),
    *TOOK,
)
"""What is counted: outcomes of events, of requests and of dispatches (`ended`: without a chat, and no failure), reasons
of skips, and times from an event to its result."""

MinuteTally = Mapping[tuple[str, str], Mapping[str, int]]
"""Counts by their names, by (`all`, empty), (`source`, its name) or (`rule`, its name)."""


MOST: Final = 1_000
"""Names of a kind that are counted apart until the next flush. Further ones are counted as `_other`."""

_CHATS: Final = {"created": "chats", "failed": "failed", "parked": "parked", "duplicated": None}
"""How outcomes of dispatches are counted; the others end without a chat on purpose."""
_ENDED: Final = "ended"


def class_of(milliseconds: float) -> str:
    """The class of `COUNTS` in which a time to the result is counted."""
    return TOOK[next((number for number, bound in enumerate(BOUNDS) if milliseconds <= bound), len(BOUNDS))]


class MinuteCounts:
    """What this replica has counted since the last flush. It costs two look-ups; it never waits and never fails."""

    def __init__(self) -> None:
        self._now: dict[tuple[str, str], dict[str, int]] = {}
        self._names = {"source": 0, "rule": 0}

    def event(self, source: str, outcome: str, count: int) -> None:
        """Count events, or refused requests (`refused`)."""
        if outcome in COUNTS:
            self._add("source", source, outcome, count)

    def chat(self, rule: str, outcome: str) -> None:
        """Count the outcome of a dispatch."""
        if (name := _CHATS.get(outcome, _ENDED)) is not None:
            self._add("rule", rule, name)

    def skip(self, rule: str, why: str) -> None:
        """Count an event that a rule skipped."""
        self._add("rule", rule, why)

    def told(self, source: str, seconds: float) -> None:
        """Count a confirmed result, and the time since its event came."""
        self._add("source", source, class_of(seconds * 1_000))

    def _add(self, kind: str, name: str, what: str, count: int = 1) -> None:
        for place in (("all", ""), (kind, name)):
            counts = self._now.get(place)
            if counts is None:
                counts = self._open(*place)
            counts[what] = counts.get(what, 0) + count

    def _open(self, kind: str, name: str) -> dict[str, int]:
        if kind in self._names:
            self._names[kind] += 1
            if self._names[kind] > MOST:
                name = "_other"
        return self._now.setdefault((kind, name), {})

    def take(self) -> MinuteTally:
        """What was counted since the last call."""
        counts, self._now = self._now, {}
        self._names = dict.fromkeys(self._names, 0)
        return counts

    def put_back(self, counts: MinuteTally) -> None:
        """Count again what could not be written."""
        for (kind, name), earlier in counts.items():
            self._put_back(self._now.get((kind, name)) or self._open(kind, name), earlier)

    def _put_back(self, counts: dict[str, int], earlier: Mapping[str, int]) -> None:
        for what, count in earlier.items():
            counts[what] = counts.get(what, 0) + count
