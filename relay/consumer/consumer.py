"""Keeps one queue consumed: message, event, accept, acknowledge; through restarts, pauses and back pressure."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import random
from typing import Final, Protocol

from relay.broker import BrokerFault, DeadLetters, Delivery, Link
from relay.consumer.decode import decode
from relay.consumer.session import Session
from relay.consumer.setup import prepare, warn_of_limit
from relay.consumer.source import Input
from relay.errors import Overloaded, Refused, Unavailable
from relay.model import Event, Ids, Receipt
from relay.retry import backoff
from relay.schemes.document import Unreadable
from relay.telemetry import Metrics, PartState, get_log

log = get_log()

Report = Callable[[PartState, str], None]

_FIRST: Final = 500
_LEAST: Final = 200
_CAP: Final = 30_000
_LASTING: Final = 5.0


class Accepts(Protocol):
    """The intake, as far as a consumer needs it."""

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Commit the delivery. Raises `Overloaded`, `Unavailable`, `Refused`."""
        ...


class Consumer:
    """Consumes one input while `run()` runs. A message is acknowledged only after `accept` returned.

    Past the high-water mark, or while the ledger is away, it stops consuming, gives back what it holds, waits, and
    then tries one message before it takes more: so that what waits is not delivered, and counted, again and again.
    `clock` gives milliseconds since the epoch. `report` is told how it goes.
    """

    def __init__(
        self,
        link: Link,
        source: Input,
        intake: Accepts,
        dead: DeadLetters,
        *,
        ids: Ids,
        clock: Callable[[], int],
        metrics: Metrics,
        report: Report,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random,
    ) -> None:
        self._link = link
        self._source = source
        self._intake = intake
        self._dead = dead
        self._ids = ids
        self._clock = clock
        self._metrics = metrics
        self._report = report
        self._sleep = sleep
        self._random = random
        self._session: Session | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._ending = asyncio.Event()
        self._pressure = 0
        self._pause = 0.0
        self._looked = False

    def pause(self) -> None:
        """Stop consuming; what was prefetched is finished."""
        self._wanted.clear()
        self._stop("paused")

    def resume(self) -> None:
        """Consume again."""
        self._wanted.set()

    def end(self) -> None:
        """Stop consuming for good: `run()` returns once what was prefetched is finished."""
        self._ending.set()
        self._wanted.set()
        self._stop("ended")

    async def run(self) -> None:
        """Consume until ended or cancelled. Raises only what the intake should not have raised."""
        tries = 0
        while await self._may_go_on():
            try:
                lasted = await self._attend()
            except BrokerFault as fault:
                await self._rest(str(fault), self._delay(tries))
                tries += 1
                continue
            tries = 0 if lasted >= _LASTING else tries + 1
            if self._pressure:
                await self._wait(self._sleep(max(self._delay(self._pressure), self._pause)))
            elif tries:
                await self._wait(self._sleep(self._delay(tries)))

    async def _may_go_on(self) -> bool:
        if not self._wanted.is_set():
            self._report(PartState.DEGRADED, "paused")
            log.info("source.paused", source=self._source.name)
            await self._wanted.wait()
            log.info("source.resumed", source=self._source.name)
        if not self._link.up:
            self._report(PartState.DOWN, "waits for the connection to RabbitMQ")
            await self._wait(self._link.ready())
        return not self._ending.is_set()

    async def _attend(self) -> float:
        """One session, from the look at the queue to its end; how many seconds it took."""
        began = asyncio.get_running_loop().time()
        found = await prepare(self._link, self._source)
        if found and not self._looked:
            await warn_of_limit(self._link, self._source)
        self._looked = True
        session = await Session.open(self._link, self._handle)
        self._session = session
        try:
            await self._serve(session)
        finally:
            self._session = None
            await session.close()
        if session.crash is not None:
            raise session.crash
        return asyncio.get_running_loop().time() - began

    async def _serve(self, session: Session) -> None:
        if self._pressure:
            await session.probe(self._source.queue)
        if self._ending.is_set() or not self._wanted.is_set() or session.over.is_set():
            return
        await session.consume(self._source.queue, self._source.prefetch)
        self._report(PartState.UP, "")
        log.info("source.consuming", source=self._source.name, queue=self._source.queue)
        await session.over.wait()
        log.info("source.stopped", source=self._source.name, why=session.why)

    async def _handle(self, delivery: Delivery) -> bool:
        """Whether the message is settled; if not it must come again."""
        try:
            event = decode(delivery, self._source, id=self._ids(), now=self._clock())
            await self._intake.accept([event])
        except Unreadable as error:
            return await self._bury(delivery, error.reason, str(error))
        except Refused as error:
            return await self._bury(delivery, "refused", str(error))
        except Overloaded as error:
            return self._press(str(error), error.retry_after)
        except Unavailable as error:
            return self._press(f"the ledger is away: {error}", 0.0)
        self._ease()
        return True

    async def _bury(self, delivery: Delivery, reason: str, error: str) -> bool:
        name = self._source.name
        try:
            await self._dead.publish(delivery, source=name, reason=reason, error=error)
        except BrokerFault as fault:
            return self._press(f"a dead letter cannot be published: {fault}", 0.0)
        self._metrics.rejections.labels(name, reason).inc()
        about = {"message_id": delivery.message_id, "routing_key": delivery.routing_key, "size": len(delivery.body)}
        log.warning("message.dead", source=name, reason=reason, error=error, **about)
        self._ease()
        return True

    def _ease(self) -> None:
        # Success after the session was stopped says nothing: others of it were turned away.
        if self._session is not None and not self._session.over.is_set():
            self._pressure = 0

    def _press(self, why: str, retry_after: float) -> bool:
        """Stop consuming for a while; the message must come again."""
        session = self._session
        if session is not None and not session.over.is_set():
            self._pressure += 1
            self._pause = retry_after
            self._report(PartState.DEGRADED, why)
            log.warning("source.pressed", source=self._source.name, error=why)
            session.stop(why)
        return False

    def _stop(self, why: str) -> None:
        if self._session is not None:
            self._session.stop(why)

    def _delay(self, tries: int) -> float:
        return max(_LEAST, backoff(tries, first=_FIRST, cap=_CAP, random=self._random)) / 1_000

    async def _rest(self, fault: str, seconds: float) -> None:
        if fault:
            self._report(PartState.DOWN, fault)
            log.warning("source.away", source=self._source.name, error=fault, retry_in_s=seconds)
        await self._wait(self._sleep(seconds))

    async def _wait(self, call: Awaitable[None]) -> None:
        """Await the call, at most until the end."""
        tasks = [asyncio.ensure_future(call), asyncio.create_task(self._ending.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
