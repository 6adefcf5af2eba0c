"""Writes what goes wrong to the ledger every second, and looks for what nobody counts."""

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from relay.errors import Unavailable
from relay.life import Signals, Stop
from relay.model import Problem, ProblemKey, ProblemKind, ProblemState, ProblemTurn, Sighting, Sightings, Watched
from relay.ports import Problems
from relay.telemetry import LASTS, Metrics, PartState, Status, Tally, get_log

log = get_log()

PATIENCE: Final = 30_000
"""Milliseconds for which the broker or the ledger may be away before that is a problem."""
_EVERY: Final = 1.0
_AGAIN_AT_STOP: Final = 0.2
_UNTOLD_EVERY: Final = 900
"""Milliseconds after which a turn looks for what nobody told of. That is in each turn, but for those in quick
succession at a stop: so a problem opens within 5 s of its cause also where the replica that saw it has died."""
_SHARE: Final = 10
"""A look takes at most this part of the time: where very much is parked it is long, and occupies a reader."""
_AGAIN: Final = 5_000
_UNRESOLVED: Final = (ProblemState.OPEN, ProblemState.ACKNOWLEDGED)


class Watcher:
    """The part `problems` of one replica.

    `expect` has the longest silence of each source that has one, `backlog` the longest wait of a due dispatch, in
    milliseconds; `sources` and `rules` are the names of all. They may be replaced at any time. `clock` returns
    milliseconds since the epoch, `boottime` milliseconds on a clock that keeps counting while the machine is suspended.
    `away` is how long the ledger was away before it could be opened.

    A problem of the ledger is kept here while the ledger is away, and written with its times when it is back. Causes
    are counted again when it is not known whether they were written: then they may be counted twice.
    """

    def __init__(
        self,
        ledger: Problems,
        metrics: Metrics,
        status: Status,
        signals: Signals,
        *,
        expect: Mapping[str, int],
        backlog: int | None,
        sources: AbstractSet[str],
        rules: AbstractSet[str],
        clock: Callable[[], int],
        boottime: Callable[[], int],
        away: int = 0,
    ) -> None:
        self.expect = expect
        self.backlog = backlog
        self.sources = sources
        self.rules = rules
        self._ledger = ledger
        self._metrics = metrics
        self._counts = metrics.problems
        self._status = status
        self._signals = signals
        self._clock = clock
        self._boottime = boottime
        self._started = boottime()
        self._look_at = self._started
        """When to look next for what nobody told of."""
        self._away_since = self._started - away if away >= PATIENCE else None
        self._away_told = False
        self._said_at: int | None = None
        self._broker_since: int | None = None
        self._broker_told: int | None = None
        self._unresolved: tuple[Problem, ...] = ()

    async def run(self, stop: Stop) -> None:
        """Take a turn every second until `stop`, then until one is written or the grace is over."""
        while not stop.asked:
            await self.turn()
            await stop.sleep(_EVERY)
        while not await self.turn() and stop.left() > _AGAIN_AT_STOP:  # noqa: ASYNC110 - nobody tells when it is back
            await asyncio.sleep(_AGAIN_AT_STOP)

    async def turn(self) -> bool:
        """Write what was counted, apply the rules by which problems open and end. Returns whether all is written."""
        now = self._boottime()
        self._look_at_broker(now)
        self._look_at_ledger(now)
        if self._said_at is None or now - self._said_at >= _AGAIN:
            self._counts.go_on()
            self._said_at = now
        counts = self._counts.take()
        outage = None if self._is_down("ledger") else self._long_away(now)
        written = False
        watched = self._watched(now)
        try:
            turn = await self._ledger.watch(self._sightings(counts, now, outage), watched)
            written = True
        except Unavailable as error:
            self._miss_ledger(now, str(error))
        finally:
            if not written:
                self._counts.put_back(counts)
            if watched.untold and written:
                self._look_at = now + max(_UNTOLD_EVERY, _SHARE * (self._boottime() - now))
        if written:
            self._unresolved = turn.unresolved
            self._report(turn)
        ended = written and self._forget_outage(is_written=outage is not None)
        self._show()
        return ended

    def _watched(self, now: int) -> Watched:
        untold = now >= self._look_at
        return Watched(self.expect, self.backlog, now - self._started, untold, self.sources, self.rules)

    def _sightings(self, counts: Tally, now: int, outage: int | None) -> Sightings:
        seen = [
            Sighting(
                ProblemKey(ProblemKind(kind), source, rule, code, detail),
                counted.count,
                max(0, self._counts.clock() - counted.first_at),
                max(0, self._counts.clock() - counted.last_at),
                counted.lasts,
                counted.event_id,
                counted.dispatch_id,
            )
            for (kind, source, rule, code, detail), counted in counts.seen.items()
        ]
        if outage is not None:
            seen.append(Sighting(ProblemKey(ProblemKind.LEDGER, code="away"), 1, now - outage, lasts=0))
        return Sightings(tuple(seen), *self._needed(counts))

    def _needed(self, counts: Tally) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The successes that may end a problem: others need no write."""
        keys = [problem.key for problem in self._unresolved]
        refused = {key.source for key in keys if key.kind is ProblemKind.REJECTIONS}
        failed = {key.rule for key in keys if key.kind is ProblemKind.FAILURES}
        was_paused = any(key.kind is ProblemKind.CARGO for key in keys)
        made = counts.made if was_paused else counts.made & failed
        return tuple(sorted(counts.accepted & refused)), tuple(sorted(made))

    def _long_away(self, now: int) -> int | None:
        """Since when the ledger is away, None when it is not away for long."""
        since = self._away_since
        return since if since is not None and now - since >= PATIENCE else None

    def _is_down(self, part: str) -> bool:
        return any(each.name == part and each.state is PartState.DOWN for each in self._status.parts())

    def _look_at_ledger(self, now: int) -> None:
        if self._is_down("ledger"):
            self._miss_ledger(now, "it does not take writes")

    def _miss_ledger(self, now: int, error: str) -> None:
        self._away_since = now if self._away_since is None else self._away_since
        if self._long_away(now) is not None and not self._away_told:
            self._away_told = True
            what = "it is kept in memory until the ledger is back, and told then"
            log.warning("problem.opened", kind="ledger", code="away", error=error, what=what)

    def _forget_outage(self, *, is_written: bool) -> bool:
        """After a turn that succeeded, forget an outage that it wrote or that was short.

        Returns False for one that the next turn can write: it was over, or became long, only after this turn began.
        """
        if not is_written and self._is_down("ledger"):
            return True
        if not is_written and self._long_away(self._boottime()) is not None:
            return False
        self._away_since, self._away_told = None, False
        return True

    def _look_at_broker(self, now: int) -> None:
        """Count that the broker is away. The problem is over some seconds after no replica counts it any more."""
        if not self._is_down("broker"):
            self._broker_since = self._broker_told = None
            return
        self._broker_since = now if self._broker_since is None else self._broker_since
        if now - self._broker_since < PATIENCE:
            return
        if self._broker_told is None or now - self._broker_told >= _AGAIN:
            first = self._broker_told is None
            ago = now - self._broker_since
            self._counts.saw("broker", code="away", count=1 if first else 0, ago=ago if first else 0, lasts=LASTS)
            self._broker_told = now

    def _report(self, turn: ProblemTurn) -> None:
        for change in turn.changes:
            problem = change.problem
            key = problem.key
            parts = {"source": key.source, "rule": key.rule, "code": key.code, "detail": key.detail}
            line: dict[str, object] = {"problem_id": problem.id, "kind": str(key.kind), "count": problem.count}
            line |= {name: value for name, value in parts.items() if value is not None}
            if change.resolved:
                log.info("problem.resolved", **line)
            else:
                log.warning("problem.opened", event_id=problem.event_id, dispatch_id=problem.dispatch_id, **line)
        if turn.told:
            self._signals.results.set()
            self._signals.alerts.set()

    def _show(self) -> None:
        """Set the metrics and what the health listener and the console show."""
        unresolved = list(self._unresolved)
        if (since := self._long_away(self._boottime())) is not None:
            now = self._clock()
            key = ProblemKey(ProblemKind.LEDGER, code="away")
            first_at = now - (self._boottime() - since)
            unresolved = [problem for problem in unresolved if problem.key != key]
            unresolved.append(Problem("", key, ProblemState.OPEN, 1, first_at, now))
        for kind in ProblemKind:
            for state in _UNRESOLVED:
                many = sum(problem.key.kind is kind and problem.state is state for problem in unresolved)
                self._metrics.problems_unresolved.labels(str(kind), str(state)).set(many)
        self._status.problems = tuple(problem.document() for problem in unresolved)
