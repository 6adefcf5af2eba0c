"""Takes results that are due, publishes a window of them at once, and settles each with what the broker said."""

import asyncio
from collections.abc import Awaitable, Callable
from random import random
from typing import Final

from relay.errors import Unavailable
from relay.model import UNROUTABLE, Due, Settled
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
    """Publishes at most `window` results at once; new ones are taken while others are under way.

    `clock` gives milliseconds since the epoch. `report` is told how it goes. While the broker is away one result at
    a time is tried, ever more rarely. A reply that found no broker for 5 minutes ends as undeliverable.
    """

    def __init__(
        self,
        outbox: Outbox,
        results: Results,
        *,
        window: int = 128,
        clock: Callable[[], int],
        metrics: Metrics,
        report: Report,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random,
    ) -> None:
        self._outbox = outbox
        self._results = results
        self._window = window
        self._clock = clock
        self._metrics = metrics
        self._report = report
        self._sleep = sleep
        self._random = random
        self._under_way: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._more = False
        self._crash: BaseException | None = None
        self._away = 0
        self._stuck = False  # nothing gets to the exchange, though perhaps to reply queues
        self._troubled = False
        self._nagged: dict[str, int] = {}

    def notify(self) -> None:
        """There may be something to tell."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled; what is under way then stays due. A ledger that is away is waited for."""
        try:
            while True:
                self._wake.clear()
                await self._turn()
                if self._crash is not None:
                    raise self._crash
        finally:
            self._crash = None
            await self._abandon()

    async def flush(self, grace: float) -> bool:
        """While `run()` runs: wait up to `grace` seconds until nothing is due; whether it came to that."""
        idle = self._idle = asyncio.Event()
        self.notify()
        try:
            async with asyncio.timeout(grace):
                await idle.wait()
        except TimeoutError:
            return False
        return True

    async def _turn(self) -> None:
        idle, room = self._idle, self._room()
        try:
            taken = await self._take(room)
        except Unavailable as error:
            log.warning("ledger.unavailable", part="publisher", error=str(error))
            await self._sleep(_AWAY)
            return
        self._more = taken == room
        if taken < room and not self._under_way:
            idle.set()
        if taken < room or not room:
            await self._rest()

    def _room(self) -> int:
        room = (1 if self._away else self._window) - len(self._under_way)
        return room if room >= self._window // 4 or not self._under_way else 0

    async def _take(self, room: int) -> int:
        due = await self._outbox.due(room) if room else []
        for one in due:
            task = asyncio.create_task(self._deliver(one))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        return len(due)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._crash = task.exception()
        if (self._more and self._room()) or not self._under_way or self._crash:
            self._wake.set()

    async def _rest(self) -> None:
        if self._away and not self._under_way:
            await self._sleep(self._wait(self._away - 1, _CAP_AWAY) / 1_000)
            return
        try:
            async with asyncio.timeout(_POLL):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _deliver(self, due: Due) -> None:
        if due.destination and due.age >= _PATIENCE:
            settled = self._give_up(due)
        else:
            settled = await self._publish(due)
        try:
            await self._outbox.settle(settled)
        except Unavailable as error:
            log.warning("ledger.unavailable", part="publisher", error=str(error), what="it is published once more")

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
        log.info("result.published", destination=due.destination or None, **_about(due))

    def _fail(self, due: Due, error: Publishing) -> Settled:
        if error.away:
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

    def _give_up(self, due: Due) -> Settled:
        log.warning("result.undeliverable", destination=due.destination, tries=due.tries, **_about(due))
        error = "the reply could not be delivered within 5 minutes"
        return Settled(due.result.id, due.destination, confirmed=False, undeliverable=True, error=error)

    def _wait(self, tries: int, cap: int) -> int:
        return max(_LEAST, backoff(tries, first=_FIRST, cap=cap, random=self._random))

    def _nags(self, name: str) -> bool:
        """Whether it is time for another line: one a minute, not one per result."""
        now, last = self._clock(), self._nagged.get(name)
        if last is not None and now - last < _NAG:
            return False
        self._nagged[name] = now
        return True

    async def _abandon(self) -> None:
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


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
