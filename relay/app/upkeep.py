"""Maintenance: the heartbeat, the check of the ledger, cursors, pruning, the counters of minutes, who is there."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from relay.errors import RelayError, Unavailable
from relay.ledger import SqlLedger
from relay.life import Stop
from relay.telemetry import MinuteCounts, PartState, Status, get_log

log = get_log()

_BEAT: Final = 1.0
_LOOK: Final = 5.0
_PRUNE: Final = 60.0
_BREATH: Final = 0.05
_SEQUENCE: Final = 1.0
_COUNT: Final = 1.0
_APPEAR: Final = 10
"""After so many turns of `count` the replica appears again."""
_LEASE: Final = 180_000


async def beat(status: Status) -> None:
    """Report a heartbeat every second until cancelled, to show that the event loop runs."""
    while True:
        status.beat()
        await asyncio.sleep(_BEAT)


class Upkeep:
    """The maintenance parts. `report` receives the state of the ledger, `version` is that of Relay."""

    def __init__(self, ledger: SqlLedger, report: Callable[[PartState, str], None], version: str) -> None:
        self._ledger = ledger
        self._report = report
        self._version = version

    async def watch(self, stop: Stop) -> None:
        """Check every 5 s that the ledger is available and accepts writes. Log while it is away and when it is back."""
        away = False
        while not stop.asked:
            try:
                await self._ledger.ping()
                self._report(PartState.UP, "")
                if away:
                    log.info("ledger.available")
                away = False
            except RelayError as error:
                self._report(PartState.DOWN, str(error))
                log.warning("ledger.unavailable", part="ledger", error=str(error))
                away = True
            await stop.sleep(_LOOK)

    async def sequence(self, stop: Stop) -> None:
        """Assign cursors to results as they come, so that a first reader need not wait until all have one."""
        while not stop.asked:
            more = False
            try:
                more = await self._ledger.sequence()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="cursors", error=str(error))
            await stop.sleep(_BREATH if more else _SEQUENCE)

    async def prune(self, stop: Stop) -> None:
        """Delete expired rows, one replica at a time, with a short pause between turns for other writers."""
        while not stop.asked:
            try:
                await self._ledger.make_days()
                while not stop.asked and await self._ledger.lease("pruner", _LEASE):
                    if pruned := await self._ledger.prune():
                        log.info("ledger.pruned", rows=pruned)
                    elif not self._ledger.prunes_on:
                        break
                    await stop.sleep(_BREATH)
                while not stop.asked and await self._ledger.shrink():
                    await stop.sleep(_BREATH)
            except Unavailable as error:
                log.warning("ledger.unavailable", part="pruner", error=str(error))
            await stop.sleep(_PRUNE)

    async def count(self, counts: MinuteCounts, stop: Stop) -> None:
        """Add what was counted to the ledger's minutes every second, and once more at the end.

        While the ledger is away the counts are kept. One whose answer did not come may be added twice. Every tenth
        time it is written too that this replica is there.
        """
        for turn in itertools.count():
            if turn % _APPEAR == 0:
                with suppress(Unavailable):  # `watch` says so
                    await self._ledger.appear(self._version)
            await self._add(counts)
            if stop.asked:
                return
            await stop.sleep(_COUNT)

    async def _add(self, counts: MinuteCounts) -> None:
        tally = counts.take()
        if not tally:
            return
        try:
            await self._ledger.count(tally)
        except BaseException as error:
            counts.put_back(tally)
            if not isinstance(error, Unavailable):
                raise
