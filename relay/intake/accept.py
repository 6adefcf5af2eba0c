"""From a delivery of events to receipts: every rule is matched and rendered, then all is committed at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from relay.errors import Overloaded, Unavailable
from relay.intake.entry import make_entry
from relay.intake.report import Reports
from relay.life import Signals
from relay.limits import Places
from relay.model import Entry, Event, EventStatus, Ids, Receipt
from relay.ports import Inbox
from relay.rules import RuleSet
from relay.telemetry import Metrics, get_log

log = get_log()

_BLOCK = 2_000
_LIFETIME = 20_000
_RETRY_AFTER = 5.0
_PAUSE = 500
"""Milliseconds for which the ledger is believed that there is no place: each time it counts all that is unfinished."""


@dataclass(slots=True)
class Suspect:
    """A message that came before. `deaths` is how often the process ended while it was read; `settled` is to be set
    once it need not come again."""

    deaths: int
    settled: bool = False


class Intake:
    """Accepts deliveries (one webhook call or one message; one transaction each).

    `clock` gives milliseconds since the epoch, `boottime` milliseconds on a clock that counts suspension. `rules` may
    be set anew while running; a delivery sees one set.
    """

    def __init__(
        self,
        inbox: Inbox,
        rules: RuleSet,
        *,
        high_water: int,
        ids: Ids,
        clock: Callable[[], int],
        metrics: Metrics,
        boottime: Callable[[], int],
        signals: Signals,
    ) -> None:
        self.rules = rules
        self._inbox = inbox
        self._ids = ids
        self._clock = clock
        self._reports = Reports(metrics)
        self._boottime = boottime
        self._signals = signals
        self._places = Places(max(1, min(_BLOCK, high_water // 20)), _LIFETIME)
        self._refilling = asyncio.Lock()
        self._suspecting = asyncio.Lock()
        self._away: Unavailable | None = None

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Commit the delivery and give one receipt per event, in order.

        Raises `Overloaded` past the high-water mark (unless all of it is known already), `Unavailable` while the
        ledger is away, `Refused` when the ledger cannot hold it.
        """
        now = self._clock()
        delivery, places, told = [], 0, False
        for event in events:
            entry = make_entry(event, self.rules, ids=self._ids, now=now)
            delivery.append(entry)
            places += len(entry.dispatches)
            told = told or bool(entry.results)
        if places and not (self._places.take(places, self._boottime()) or await self._refill(places)):
            receipts = await self._inbox.known(delivery)
            if receipts is None:
                raise Overloaded("too many dispatches are unfinished", retry_after=_RETRY_AFTER)
        else:
            try:
                receipts = await self._inbox.accept(delivery)
            finally:
                self._places.close(places)
        if places:
            self._signals.work.set()
        if told:
            self._signals.results.set()
        self._reports.add(delivery, receipts)
        return receipts

    async def ready(self) -> None:
        """Return when a delivery could be accepted now: there is a free place, and the ledger has committed a write.

        Raises `Overloaded`, `Unavailable`. Whoever pulls deliveries asks this first, so that none is used to find out.
        """
        if not (self._places.take(1, self._boottime()) or await self._refill(1)):
            raise Overloaded("too many dispatches are unfinished", retry_after=_RETRY_AFTER)
        self._places.give_back(1)
        await self._inbox.probe()

    @asynccontextmanager
    async def suspect(self, key: bytes) -> AsyncIterator[Suspect]:
        """Read a message, known by `key`, that came before: one at a time, so that a death is counted of no other.

        Raises `Unavailable` while the ledger is away, before anything is read; at its end that is only logged.
        """
        async with self._suspecting:
            suspect = Suspect(await self._inbox.begin(key))
            try:
                yield suspect
            finally:
                await self._end(key, settled=suspect.settled)

    async def forget(self, key: bytes) -> None:
        """A suspect will not come again: the deaths that were counted of it count no more."""
        await self._end(key, settled=True)

    async def _end(self, key: bytes, *, settled: bool) -> None:
        """While the ledger is away the row stays: as long as this process lives it counts for nothing."""
        try:
            await self._inbox.end(key, settled=settled)
        except Unavailable as error:
            log.debug("suspect.kept", error=str(error))

    async def known(self, events: Sequence[Event]) -> list[Receipt] | None:
        """The receipts of a delivery of which all is known already, None when anything is new; nothing is matched.

        Raises `Unavailable` while the ledger is away.
        """
        delivery = [Entry(event, EventStatus.ACCEPTED) for event in events]
        receipts = await self._inbox.known(delivery)
        if receipts is not None:
            self._reports.add(delivery, receipts)
        return receipts

    async def _refill(self, places: int) -> bool:
        """Lease a new block and take the places from it.

        Who waits while another asks shares its answer, also that the ledger is away: one that hangs would otherwise be
        asked by each of them in turn, and the last be answered when its sender has long gone.
        """
        before = self._away
        async with self._refilling:
            if self._away is not before:
                raise Unavailable(str(self._away))
            now = self._boottime()
            if self._places.take(places, now):
                return True
            if self._places.is_shut(now):
                return False
            try:
                granted = await self._inbox.reserve(self._places.wanted(places))
            except Unavailable as error:
                self._away = error
                raise
            self._places.refill(granted, now)
            taken = self._places.take(places, now)
            if not taken:
                self._places.shut(now + _PAUSE)
            return taken
