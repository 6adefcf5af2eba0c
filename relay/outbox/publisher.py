"""Publishes due results concurrently and settles each one with the broker's answer."""

import asyncio
from collections.abc import Callable, Sequence
from random import random
from typing import Final

from relay.errors import Unavailable
from relay.life import Signals, Stop
from relay.model import NOBODY, UNROUTABLE, Due, ResultType, Settled
from relay.outbox.traced import publish
from relay.ports import Outbox, Publishing, Results
from relay.retry import backoff
from relay.slots import Offer, Slots
from relay.telemetry import Metrics, PartState, Reporter, Tracing, get_log, trace_id
from relay.units import parse_iso

log = get_log()

_POLL: Final = 1.0
_AWAY: Final = 1.0
_LEAST: Final = 250
_FIRST: Final = 1_000
_CAP: Final = 60_000
_CAP_AWAY: Final = 5_000
_PATIENCE: Final = 300_000
_NAG: Final = 60_000


class Publisher:
    """Publishes at most `window` results at a time and fetches more as soon as a quarter of the window is free.

    `clock` returns milliseconds since the epoch, `boottime` milliseconds on a clock that keeps counting while the
    machine is suspended. `report` receives the state of the publisher. While the broker is away, the publisher tries
    one result at a time, with back-off. A reply that could not be delivered within 5 minutes ends as undeliverable,
    after at least one try.
    """

    def __init__(
        self,
        outbox: Outbox,
        results: Results,
        signals: Signals,
        *,
        window: int = 128,
        clock: Callable[[], int],
        boottime: Callable[[], int],
        metrics: Metrics,
        report: Reporter,
        random: Callable[[], float] = random,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._outbox = outbox
        self._results = results
        self._signal = signals.results
        self._window = window
        self._clock = clock
        self._boottime = boottime
        self._metrics = metrics
        self._report = report
        self._random = random
        self._slots = Slots(self._signal)
        self._under_way: dict[asyncio.Task[None], tuple[str, str]] = {}
        """Deliveries that are published or settled now: the result's id and the destination."""
        self._publishing = 0
        self._stop = Stop()
        self._look = True
        """Whether something in the outbox may be due."""
        self._behind = True
        """Whether more is due than there was room for."""
        self._away = 0
        self._try_at: float = 0
        """When a broker that is away is tried again, in `boottime`: also if more and more results are due meanwhile."""
        self._stuck: dict[str, int] = {}
        """The exchanges at which results fail, with the time of the last failure; others may still work."""
        self._troubled = False
        self._nagged: dict[tuple[str, str | None], int] = {}

    async def run(self, stop: Stop) -> None:
        """Publish until `stop`, then drain what is due within the grace period.

        Results that are not confirmed by then stay due. While the ledger is unavailable, the publisher waits.
        """
        self._stop = stop
        self._slots.closed = False
        stop.wakes(self._signal)
        try:
            while not await self._turn():
                pass
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=stop.left())
        finally:
            self._slots.closed = True
            await self._abandon()

    def offer(self, wanted: int) -> Offer[Due] | None:
        """Offer slots for the results of one write. None when there are too few, or older results wait."""
        if self._slots.closed or self._slots.unsure or self._behind or self._away or self._stop.asked:
            return None
        taken = self._publishing + self._slots.promised
        return self._slots.offer(wanted, self._begin) if taken + wanted <= self._window else None

    async def _turn(self) -> bool:
        """Start publishing what is due. Returns whether the publisher has finished."""
        self._look = self._look or self._signal.is_set
        self._signal.clear()  # before the look at the outbox, so that a result that arrives during it wakes us again
        stopping = self._stop.asked
        if stopping and (not self._stop.left() or (self._away and not self._under_way)):
            return True  # the results stay due; a stop does not wait for a broker that is away
        try:
            if self._slots.unsure and not self._slots.promised:
                await self._outbox.return_deliveries(set(self._under_way.values()))
                self._slots.unsure = False
            if self._look and (room := self._room()):
                self._look = False
                wanted = (room + 1) // 2  # the other half stays free for offers
                self._look = self._behind = await self._start(wanted) == wanted
        except Unavailable as error:
            log.warning("ledger.unavailable", part="publisher", error=str(error))
            self._look = True
            await self._stop.sleep(_AWAY)
            return stopping
        if stopping and not self._look and not self._under_way:
            return True
        if not self._look or not self._room():
            await self._idle()
        return False

    def _room(self) -> int:
        """How many results to fetch now: 0 until a quarter of the window is free, so that one query fetches many."""
        if self._slots.unsure or (self._away and self._boottime() < self._try_at):
            return 0
        taken = self._publishing + self._slots.promised
        room = (1 if self._away else self._window) - taken
        return room if room >= self._window // 4 or not taken else 0

    async def _start(self, room: int) -> int:
        try:
            batch = await self._outbox.due(room)
        except BaseException:
            self._slots.doubt()  # without a response it is open whether leases were committed
            raise
        self._begin(batch)
        return len(batch)

    def _begin(self, batch: Sequence[Due]) -> None:
        self._publishing += len(batch)
        for due in batch:
            task = asyncio.create_task(self._deliver(due))
            self._under_way[task] = (due.result.id, due.destination)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        if self._stop.asked and not self._under_way:
            self._signal.set()

    async def _idle(self) -> None:
        """Wait until results may be due, or until the next try at a broker that is away."""
        left = self._try_at - self._boottime() if self._away and not self._publishing else 0
        if left > 0 and not self._stop.asked:
            await self._stop.sleep(left / 1_000)
        else:  # also where nothing is due to try it with, and at a stop, through which no sleep lasts
            await self._signal.wait(min(_POLL, self._stop.left()))
        if not self._signal.is_set:
            self._look = True  # a retry may be due, or something that another replica left

    async def _deliver(self, due: Due) -> None:
        """Publish and settle one result. After an unexpected error it stays due, and the other results go on."""
        try:
            settled = await self._publish(due)
        except Exception as error:  # noqa: BLE001 - whatever error it is, the others must be told, and this one shown
            failure = Publishing(f"the relay failed at this result: {type(error).__name__}: {error}", failed=True)
            failure.__cause__ = error
            settled = self._fail(due, failure)
        finally:
            # The place is free at the broker's answer: nobody waits for what is settled, so it may take a while.
            self._publishing -= 1
            if self._look and self._room():
                self._signal.set()
        # Settled only after the broker answered: a crash in between publishes the result twice, and never loses it.
        try:
            await self._settle(settled)
        except Exception:
            log.exception("result.unsettled", what="it will be published again", **_about(due))

    async def _settle(self, settled: Settled) -> None:
        """Settle, retrying while the ledger is unavailable; after a stop only within the grace period."""
        while True:
            try:
                return await self._outbox.settle(settled)
            except Unavailable as error:
                log.warning("ledger.unavailable", part="publisher", error=str(error))
                if self._stop.asked and not self._stop.left():
                    return None
            await asyncio.sleep(min(_AWAY, self._stop.left()))

    async def _publish(self, due: Due) -> Settled:
        try:
            await publish(self._tracing, self._results, due)
        except Publishing as error:
            return self._fail(due, error)
        self._confirm(due)
        return Settled(due.result.id, due.destination, confirmed=True)

    def _confirm(self, due: Due) -> None:
        result = due.result
        if self._away:
            self._away = 0
            self._nagged.clear()
        if self._stuck:
            self._unstick(_exchange(due))
        if self._troubled and not self._stuck:
            self._troubled = False
            self._report(PartState.UP, "")
        if not due.destination and result.source != NOBODY:
            took = self._clock() - parse_iso(result.data["receivedAt"])
            self._metrics.published(result.source, max(0, took) / 1_000)
        write = log.debug if result.type is ResultType.SENT else log.info  # so that an event logs 3 lines
        write("result.published", **_new_keys(due))

    def _unstick(self, exchange: str | None) -> None:
        """Forget the trouble of an exchange that has confirmed a result, and of those whose results are gone.

        A result comes again within `_CAP`; if none did, another replica has published it.
        """
        stale = self._boottime() - 2 * _CAP
        over = {name for name, failed_at in self._stuck.items() if name == exchange or failed_at < stale}
        self._stuck = {name: failed_at for name, failed_at in self._stuck.items() if name not in over}
        self._nagged = {key: at for key, at in self._nagged.items() if key[1] not in over}

    def _fail(self, due: Due, error: Publishing) -> Settled:
        if due.destination and due.age >= _PATIENCE:
            return self._give_up(due, error)
        if error.away:
            # Results that fail together count as one try, so that a full window does not jump to the longest wait.
            self._away = max(1, self._away) if self._publishing > 1 else self._away + 1
            self._try_at = self._boottime() + self._wait(self._away - 1, _CAP_AWAY)
        exchange = _exchange(due)
        if exchange is not None and not error.away:
            self._stuck[exchange] = self._boottime()
            self._metrics.problems.unroutable("unroutable" if error.unroutable else "denied", exchange or None)
        self._troubled = True
        self._report(PartState.DOWN if error.denied else PartState.DEGRADED, str(error), error.public)
        name = "result.unroutable" if error.unroutable else "result.failed" if error.failed else "result.retried"
        if self._nags(name, exchange):
            tell = log.error if error.unroutable or error.failed else log.warning
            trace = {"exc_info": error.__cause__} if error.__cause__ else {}
            about = {"destination": due.destination or None, "tries": due.tries + 1, **_about(due)}
            tell(name, error=str(error), **about, **trace)
        wait = self._wait(due.tries, _CAP_AWAY if error.away else _CAP)
        why = f"{UNROUTABLE}: {error}" if error.unroutable else str(error)
        return Settled(due.result.id, due.destination, confirmed=False, retry_in=wait, error=why)

    def _give_up(self, due: Due, error: Publishing) -> Settled:
        tries = due.tries + 1
        log.warning("result.undeliverable", destination=due.destination, tries=tries, error=str(error), **_about(due))
        why = f"the reply could not be delivered within 5 minutes: {error}"
        return Settled(due.result.id, due.destination, confirmed=False, undeliverable=True, error=why)

    def _wait(self, tries: int, cap: int) -> int:
        return max(_LEAST, backoff(tries, first=_FIRST, cap=cap, random=self._random))

    def _nags(self, name: str, exchange: str | None) -> bool:
        """Whether to log this failure now: at most one line per minute, event name and exchange, not per result.

        `exchange` is None for replies.
        """
        now, last = self._boottime(), self._nagged.get((name, exchange))
        if last is not None and now - last < _NAG:
            return False
        self._nagged[name, exchange] = now
        return True

    async def _abandon(self) -> None:
        unfinished = list(self._under_way)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


def _exchange(due: Due) -> str | None:
    """The exchange of a delivery, empty for the result exchange; None for a reply queue."""
    return None if due.destination else due.result.exchange or ""


def _new_keys(due: Due) -> dict[str, str | None]:
    """The log keys of a published result. Its id starts with the dispatch id, whose earlier lines hold the trace."""
    result = due.result
    keys = {"result_id": result.id, "event_id": result.event_id, "source": result.source, "type": result.type.value}
    if due.destination:
        return {**keys, "destination": due.destination}
    return {**keys, "exchange": result.exchange} if result.exchange else {**keys}


def _about(due: Due) -> dict[str, str | None]:
    result = due.result
    return {
        "result_id": result.id,
        "event_id": result.event_id,
        "dispatch_id": result.dispatch_id,
        "source": result.source,
        "type": result.type.value,
        "trace_id": trace_id(result.traceparent),
        **({"exchange": exchange} if (exchange := _exchange(due)) else {}),
    }
