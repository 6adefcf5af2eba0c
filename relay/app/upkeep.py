"""What keeps a relay well: the heartbeat, a look at the ledger, pruning."""

import asyncio
from collections.abc import Callable
from typing import Final

from relay.errors import RelayError, Unavailable
from relay.ledger import SqlLedger
from relay.life import Stop
from relay.telemetry import PartState, Status, get_log

log = get_log()

_BEAT: Final = 1.0
_LOOK: Final = 5.0
_PRUNE: Final = 60.0
_BREATH: Final = 0.05
_SEQUENCE: Final = 1.0
_LEASE: Final = 180_000


async def beat(status: Status) -> None:
    """Show, until cancelled, that the event loop turns."""
    while True:
        status.beat()
        await asyncio.sleep(_BEAT)


class Upkeep:
    """Parts that only look and tidy. `report` is told how the ledger is."""

    def __init__(self, ledger: SqlLedger, report: Callable[[PartState, str], None]) -> None:
        self._ledger = ledger
        self._report = report

    async def watch(self, stop: Stop) -> None:
        """Ask the ledger whether it is there and takes writes; tell when it goes, and when it is back."""
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
        """Give results their cursors as they come, so that whoever follows first need not wait for all of them."""
        while not stop.asked:
            more = False
            try:
                more = await self._ledger.sequence()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="cursors", error=str(error))
            await stop.sleep(_BREATH if more else _SEQUENCE)

    async def prune(self, stop: Stop) -> None:
        """Delete what is past its time, one replica at a time, with a breath between turns for the writers."""
        while not stop.asked:
            try:
                while not stop.asked and await self._ledger.lease("pruner", _LEASE):
                    if not (gone := await self._ledger.prune()):
                        break
                    log.info("ledger.pruned", rows=gone)
                    await stop.sleep(_BREATH)
            except Unavailable as error:
                log.warning("ledger.unavailable", part="pruner", error=str(error))
            await stop.sleep(_PRUNE)
