"""Counts what goes wrong in memory, until the part `problems` writes it to the ledger."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MOST: Final = 1_000
"""Problems that are counted apart until the next flush. Further ones are counted without their detail, then dropped."""
DETAIL: Final = 255
"""Characters that are kept of a detail. The name of an exchange, by which results are looked for, is never longer."""
LASTS: Final = 15_000
"""Milliseconds after which a cause that a replica sees is over, unless one sees it again."""

Named = tuple[str, str | None, str | None, str | None, str | None]
"""Kind, source, rule, code and detail: what makes two causes the same problem."""


def monotonic() -> int:
    """Milliseconds of a clock that goes forward."""
    return time.monotonic_ns() // 1_000_000


@dataclass(slots=True)
class Counted:
    """Causes of one problem. Times are milliseconds of the clock of the counts; `lasts` as in `Sighting`."""

    count: int
    first_at: int
    last_at: int
    lasts: int | None = None
    event_id: str | None = None
    dispatch_id: str | None = None


@dataclass(slots=True)
class Tally:
    """What was counted since the last flush: problems, sources that accepted, rules that made a chat."""

    seen: dict[Named, Counted] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)


class ProblemCounts:
    """What goes wrong and well in this replica. Calling it costs a look-up; it never waits and never fails.

    `clock` returns milliseconds of a clock that goes forward.
    """

    def __init__(self, clock: Callable[[], int] = monotonic) -> None:
        self.clock = clock
        self._now = Tally()
        self._refused: set[str] = set()
        """Why changes of the configuration were refused since the last good one."""

    def saw(
        self,
        kind: str,
        *,
        source: str | None = None,
        rule: str | None = None,
        code: str | None = None,
        detail: str | None = None,
        count: int = 1,
        ago: int = 0,
        lasts: int | None = None,
        event_id: str | None = None,
        dispatch_id: str | None = None,
    ) -> None:
        """Count causes of a problem, the first of them `ago` milliseconds ago. `lasts` is explained at `Sighting`."""
        named: Named = (kind, source, rule, code, None if detail is None else detail[:DETAIL])
        now, seen = self.clock(), self._now.seen
        if named not in seen and len(seen) >= MOST:
            named = (*named[:4], None)
            if named not in seen and len(seen) >= 2 * MOST:
                return
        counted = seen.setdefault(named, Counted(0, now - ago, now))
        counted.count += count
        counted.first_at = min(counted.first_at, now - ago)
        counted.last_at, counted.lasts = now, lasts
        if event_id is not None:
            counted.event_id, counted.dispatch_id = event_id, dispatch_id

    def accepted(self, source: str) -> None:
        """Note that a source had an event accepted."""
        self._now.accepted.add(source)

    def made(self, rule: str) -> None:
        """Note that a rule made a chat."""
        self._now.made.add(rule)

    def unroutable(self, code: str, exchange: str | None = None) -> None:
        """Count a result that an exchange did not take; None is the result exchange.

        It is over when none waits for that exchange any more, which the ledger sees: no silence ends it, because
        nothing is tried while the broker is away, and no result that is taken, because another one may still wait.
        """
        self.saw("broker", code=code, detail=exchange)

    def looped(self, rule: str, key: str, quiet: int, event_id: str, dispatch_id: str) -> None:
        """Count a dispatch that the loop guard of a rule parked. It is over when the key was quiet for `quiet` ms."""
        self.saw("loop", rule=rule, detail=key, lasts=quiet, event_id=event_id, dispatch_id=dispatch_id)

    def reload_refused(self, fault: str) -> None:
        """Note that a changed configuration was refused; `fault` says where it is wrong."""
        self.saw("reload", detail=fault, lasts=LASTS)
        if len(self._refused) < MOST:
            self._refused.add(fault[:DETAIL])

    def reloaded(self) -> None:
        """Note that a changed configuration is in effect. The problem is over when no replica has refused one."""
        self._refused.clear()

    def go_on(self) -> None:
        """Say of what lasts in this replica that it still does. Called well within `LASTS`."""
        for fault in self._refused:
            self.saw("reload", detail=fault, count=0, lasts=LASTS)

    def take(self) -> Tally:
        """What was counted since the last call."""
        counts, self._now = self._now, Tally()
        return counts

    def put_back(self, counts: Tally) -> None:
        """Count again what could not be written."""
        later, self._now = self._now, counts
        for named, counted in later.seen.items():
            earlier = counts.seen.get(named)
            if earlier is not None:
                counted.count += earlier.count
                counted.first_at = min(counted.first_at, earlier.first_at)
                if counted.event_id is None:
                    counted.event_id, counted.dispatch_id = earlier.event_id, earlier.dispatch_id
            counts.seen[named] = counted
        counts.accepted |= later.accepted
        counts.made |= later.made
