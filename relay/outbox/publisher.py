"""Publishes due results concurrently and settles each one with the broker's answer."""

import asyncio
from collections.abc import Callable
from random import random
from typing import Final

from relay.errors import Unavailable
from relay.life import Signals, Stop
from relay.model import UNROUTABLE, Due, ResultType, Settled
from relay.outbox.wire import encode
from relay.ports import Outbox, Publishing, Results
from relay.retry import backoff
from relay.telemetry import Metrics, PartState, get_log, trace_id
from relay.units import parse_iso

log = get_log()

Report = Callable[[PartState, str], None]

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
        report: Report,
        random: Callable[[], float] = random,
    ) -> None:
        self._outbox = outbox
        self._results = results
        self._signal = signals.results
        self._window = window
        self._clock = clock
        self._boottime = boottime
        self._metrics = metrics
        self._report = report
        self._random = random
        self._under_way: set[asyncio.Task[None]] = set()
        self._stop = Stop()
        self._more = False
        self._away = 0
        self._stuck = False  # nothing reaches the exchange; reply queues may still work
        self._troubled = False
        self._nagged: dict[str, int] = {}

    async def run(self, stop: Stop) -> None:
        """Publish until `stop`, then drain what is due within the grace period.

        Results that are not confirmed by then stay due. While the ledger is unavailable, the publisher waits.
        """
        self._stop = stop
        stop.wakes(self._signal)
        try:
            while not await self._turn():
                pass
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=stop.left())
        finally:
            await self._abandon()

    async def _turn(self) -> bool:
        """Start publishing what is due. Returns whether the publisher has finished."""
        self._signal.clear()  # before the look at the outbox, so that a result that arrives during it wakes us again
        stopping, room = self._stop.asked, self._room()
        if stopping and (not self._stop.left() or (self._away and not self._under_way)):
            return True  # the results stay due; a stop does not wait for a broker that is away
        try:
            started = await self._start(room)
        except Unavailable as error:
            log.warning("ledger.unavailable", part="publisher", error=str(error))
            await self._stop.sleep(_AWAY)
            return stopping
        self._more = started == room
        if stopping and started < room and not self._under_way:
            return True
        if started < room or not room:
            await self._idle()
        return False

    def _room(self) -> int:
        """How many results to fetch now: 0 until a quarter of the window is free, so that one query fetches many."""
        room = (1 if self._away else self._window) - len(self._under_way)
        return room if room >= self._window // 4 or not self._under_way else 0

    async def _start(self, room: int) -> int:
        batch = await self._outbox.due(room) if room else []
        for due in batch:
            task = asyncio.create_task(self._deliver(due))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        return len(batch)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if (self._more and self._room()) or not self._under_way:
            self._signal.set()

    async def _idle(self) -> None:
        """Wait until results may be due, or until the next try at a broker that is away."""
        if self._away and not self._under_way:
            await self._stop.sleep(self._wait(self._away - 1, _CAP_AWAY) / 1_000)
        else:
            await self._signal.wait(min(_POLL, self._stop.left()))

    async def _deliver(self, due: Due) -> None:
        """Publish and settle one result. After an unexpected error it stays due, and the other results go on."""
        try:
            settled = await self._publish(due)
        except Exception as error:
            log.exception("result.failed", **_about(due))
            why = f"the relay failed at this result: {type(error).__name__}: {error}"
            wait = self._wait(due.tries, _CAP)
            settled = Settled(due.result.id, due.destination, confirmed=False, retry_in=wait, error=why)
        # Settled only after the broker answered: a crash in between publishes the result twice, and never loses it.
        try:
            await self._outbox.settle(settled)
        except Unavailable as error:
            log.warning("ledger.unavailable", part="publisher", error=str(error), what="it will be published again")
        except Exception:
            log.exception("result.unsettled", what="it will be published again", **_about(due))

    async def _publish(self, due: Due) -> Settled:
        try:
            await self._results.publish(due, encode(due.result))
        except Publishing as error:
            return self._fail(due, error)
        self._confirm(due)
        return Settled(due.result.id, due.destination, confirmed=True)

    def _confirm(self, due: Due) -> None:
        result = due.result
        if self._away or (self._stuck and not due.destination):
            self._stuck = self._stuck and bool(due.destination)
            self._away = 0
            self._nagged.clear()
        if self._troubled and not self._stuck:
            self._troubled = False
            self._report(PartState.UP, "")
        if not due.destination:
            took = self._clock() - parse_iso(result.data["receivedAt"])
            self._metrics.published(result.source, max(0, took) / 1_000)
        write = log.debug if result.type is ResultType.SENT else log.info  # so that an event logs 3 lines
        write("result.published", **_new_keys(due))

    def _fail(self, due: Due, error: Publishing) -> Settled:
        if due.destination and due.age >= _PATIENCE:
            return self._give_up(due, error)
        if error.away:
            # Results that fail together count as one try, so that a full window does not jump to the longest wait.
            self._away = max(1, self._away) if len(self._under_way) > 1 else self._away + 1
        if error.unroutable or (error.denied and not due.destination):
            self._stuck = True
        self._troubled = True
        self._report(PartState.DOWN if error.denied else PartState.DEGRADED, str(error))
        name = "result.unroutable" if error.unroutable else "result.retried"
        if self._nags(name):
            tell = log.error if error.unroutable else log.warning
            tell(name, error=str(error), destination=due.destination or None, tries=due.tries + 1, **_about(due))
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

    def _nags(self, name: str) -> bool:
        """Whether to log this failure now: at most one line per minute and event name, not one per result."""
        now, last = self._boottime(), self._nagged.get(name)
        if last is not None and now - last < _NAG:
            return False
        self._nagged[name] = now
        return True

    async def _abandon(self) -> None:
        unfinished = list(self._under_way)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


def _new_keys(due: Due) -> dict[str, str | None]:
    """The log keys of a published result. Its id starts with the dispatch id, whose earlier lines hold the trace."""
    result = due.result
    keys = {"result_id": result.id, "event_id": result.event_id, "source": result.source, "type": result.type.value}
    return {**keys, "destination": due.destination} if due.destination else {**keys}


def _about(due: Due) -> dict[str, str | None]:
    result = due.result
    return {
        "result_id": result.id,
        "event_id": result.event_id,
        "dispatch_id": result.dispatch_id,
        "source": result.source,
        "type": result.type.value,
        "trace_id": trace_id(result.traceparent),
    }
