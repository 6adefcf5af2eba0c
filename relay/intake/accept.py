"""Turns a delivery of events into receipts: matches and renders every rule, then commits in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from relay.errors import Overloaded, Unavailable
from relay.intake.entry import make_entry
from relay.intake.report import Reports
from relay.intake.traced import trace_accept
from relay.life import Signals
from relay.limits import Places
from relay.model import Claim, DeadLetter, Entry, Event, EventStatus, HeldBy, Ids, Receipt, State
from relay.ports import Inbox
from relay.rules import RuleSet
from relay.slots import Offers, no_offer
from relay.telemetry import Metrics, Tracing, get_log

log = get_log()

_BLOCK = 2_000
_LIFETIME = 20_000
_RETRY_AFTER = 5.0
_PAUSE = 500
"""How long (ms) to trust the ledger's answer that no place is free. Each question makes it count all unfinished."""


@dataclass(slots=True)
class Suspect:
    """A redelivered message. `deaths` counts how often the process died while reading it.

    The reader sets `settled` once the message need not be delivered again.
    """

    deaths: int
    settled: bool = False


class Intake:
    """Accepts deliveries (one webhook call or one message; one transaction each).

    `clock` returns milliseconds since the epoch, `boottime` milliseconds on a clock that keeps counting while the
    machine is suspended. `offers` gives the worker's offers for new dispatches. `use` replaces the rules at run time;
    each delivery is matched with one rule set.
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
        offers: Offers[Claim] = no_offer,
        tracing: Tracing | None = None,
    ) -> None:
        self.rules = rules
        self._inbox = inbox
        self._ids = ids
        self._clock = clock
        self._reports = Reports(metrics)
        self._boottime = boottime
        self._signals = signals
        self._offers = offers
        self._tracing = tracing
        self._places = Places(_block(high_water), _LIFETIME)
        self._refilling = asyncio.Lock()
        self._suspecting = asyncio.Lock()
        self._away: Unavailable | None = None

    def use(self, rules: RuleSet, *, high_water: int) -> None:
        """Replace the rules and the high-water mark for the deliveries to come."""
        self.rules = rules
        self._places.block = _block(high_water)

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Commit the delivery and return one receipt per event, in order.

        Raises `Overloaded` past the high-water mark unless every event is a duplicate, `Unavailable` while the ledger
        is away, and `Refused` when the ledger cannot store it.
        """
        if self._tracing is None:
            return await self._accept(events)
        return await trace_accept(self._tracing, events, self._accept)

    async def _accept(self, events: Sequence[Event]) -> list[Receipt]:
        now, rules = self._clock(), self.rules
        delivery, places, ready = [], 0, 0
        for event in events:
            entry = make_entry(event, rules, ids=self._ids, now=now)
            delivery.append(entry)
            places += len(entry.dispatches)
            ready += len([dispatch for dispatch in entry.dispatches if dispatch.state is State.READY])
        if places and not (self._places.take(places, self._boottime()) or await self._refill(places)):
            # Duplicates add no work: their sender gets receipts even now, as an error would make it send them again.
            receipts = await self._inbox.known(delivery)
            if receipts is None:
                raise Overloaded("too many dispatches are unfinished", retry_after=_RETRY_AFTER)
        else:
            offer = self._offers(ready) if ready else None
            try:
                receipts = await self._inbox.accept(delivery, offer)
            finally:
                self._places.close(places)  # also after an error, else the places would stay taken
            if sum(map(_goes, receipts)) > (offer.count if offer else 0) or any(map(_follows, receipts)):
                self._signals.work.set()  # of what was offered, the worker knows
        # As it was stored: a key of a rule may have ended a dispatch, which is told too.
        if any(receipt.cancelled or (receipt.entry is not None and receipt.entry.results) for receipt in receipts):
            self._signals.results.set()
        if any(receipt.entry is not None and _opens_window(receipt.entry) for receipt in receipts):
            self._signals.windows.set()
        self._reports.add(delivery, receipts)
        return receipts

    async def ready(self) -> None:
        """Check that a delivery could be accepted now: a place is free, and the ledger commits a test write.

        Raises `Overloaded` or `Unavailable`. A consumer calls this before it pulls, so that no message is
        used up just to find out.
        """
        if not (self._places.take(1, self._boottime()) or await self._refill(1)):
            raise Overloaded("too many dispatches are unfinished", retry_after=_RETRY_AFTER)
        self._places.give_back(1)
        await self._inbox.probe()

    @asynccontextmanager
    async def suspect(self, key: bytes) -> AsyncIterator[Suspect]:
        """Guard the reading of a redelivered message, identified by `key`.

        Only one is read at a time, so that a death of the process counts against the right message. Raises
        `Unavailable` on entry while the ledger is away; on exit this is only logged.
        """
        async with self._suspecting:
            suspect = Suspect(await self._inbox.begin(key))
            try:
                yield suspect
            finally:
                await self._end(key, settled=suspect.settled)

    async def forget(self, key: bytes) -> None:
        """Delete the death count of a message that will not be delivered again."""
        await self._end(key, settled=True)

    async def note_dead(self, letter: DeadLetter) -> None:
        """Store the record of a message that is about to go to the dead letters.

        Raises `Overloaded`, `Unavailable`, and `Refused` when the ledger cannot store it.
        """
        await self._inbox.note_dead(letter)

    async def drop_dead(self, letter_id: str) -> None:
        """Delete the record of a message that did not go there. While the ledger is away the record stays."""
        try:
            await self._inbox.drop_dead(letter_id)
        except Unavailable as error:
            log.debug("dead.kept", letter_id=letter_id, error=str(error))

    async def _end(self, key: bytes, *, settled: bool) -> None:
        """End the reading. While the ledger is away the row stays, which does no harm as long as this process lives."""
        try:
            await self._inbox.end(key, settled=settled)
        except Unavailable as error:
            log.debug("suspect.kept", error=str(error))

    async def known(self, events: Sequence[Event]) -> list[Receipt] | None:
        """The receipts of a delivery that has only duplicates, or None if any event is new. Matches no rules.

        Raises `Unavailable` while the ledger is away.
        """
        delivery = [Entry(event, EventStatus.ACCEPTED) for event in events]
        receipts = await self._inbox.known(delivery)
        if receipts is not None:
            self._reports.add(delivery, receipts)
        return receipts

    async def _refill(self, places: int) -> bool:
        """Lease a new block and take the places from it. Returns False when too few are free.

        Callers that wait for another's request share its answer, including `Unavailable`. Otherwise each of them would
        in turn wait for a ledger that hangs, and the last would get its answer long after its sender has gone.
        """
        error_before = self._away
        async with self._refilling:
            if self._away is not error_before:
                raise Unavailable(str(self._away))
            # Read after the wait for the lock, and tried again: another caller may have refilled the block meanwhile.
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
            has_room = self._places.take(places, now)
            if not has_room:
                self._places.shut(now + _PAUSE)
            return has_room


def _goes(receipt: Receipt) -> int:
    """How many dispatches can be claimed now: none that a key of their rule holds."""
    if receipt.entry is None:
        return 0
    return len([each for each in receipt.entry.dispatches if each.state is State.READY])


def _follows(receipt: Receipt) -> bool:
    """Whether a dispatch goes on in a chat that exists, for which there are no offers."""
    return receipt.entry is not None and any(each.state is State.MESSAGING for each in receipt.entry.dispatches)


def _opens_window(entry: Entry) -> bool:
    return any(dispatch.hold is not None and dispatch.hold.by is HeldBy.DEBOUNCE for dispatch in entry.dispatches)


def _block(high_water: int) -> int:
    """How many places are leased at a time."""
    return max(1, min(_BLOCK, high_water // 20))
