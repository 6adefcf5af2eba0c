"""Keeps one queue consumed: message, event, accept, acknowledge; through restarts, pauses and back pressure."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import random
from typing import Final, TypeVar

from relay.broker import BrokerFault, DeadLetters, Delivery, Link
from relay.consumer.letters import Letters
from relay.consumer.owed import Owed
from relay.consumer.pressure import Pressure, Report
from relay.consumer.session import Session
from relay.consumer.settle import Accepts, Settler
from relay.consumer.setup import prepare, warn_of_limit
from relay.consumer.source import Input
from relay.effort import Aside
from relay.life import Stop
from relay.model import Ids
from relay.retry import backoff
from relay.telemetry import Metrics, PartState, get_log

log = get_log()

T = TypeVar("T")

HOLD: Final = 600.0
"""Seconds for which a message that waits stays unacknowledged. RabbitMQ ends channels with older ones after 30 minutes
(`consumer_timeout`, which an operator may have shortened)."""
_KNOWN: Final = 3_000.0
"""Seconds for which the copy of a message without an id may be accepted: the ledger, which another replica may have
reached meanwhile, knows its content for an hour."""
_LINGER: Final = 10.0
"""Seconds for which a consumer that holds what it has stays in its place."""
_STEPS: Final = 10
"""Messages that are taken one at a time after a long outage, each after a question to the ledger."""
_FIRST: Final = 500
_LEAST: Final = 200
_CAP: Final = 10_000
_CAP_AWAY: Final = 30_000
_LASTING: Final = 5.0


class Consumer:
    """Consumes one input while `run()` runs. A message is acknowledged only after `accept` returned.

    RabbitMQ counts deliveries, and drops a message after so many. So past the high-water mark, or while the ledger is
    away, no message is used to find out how it is. The consumer is cancelled, and what it has is held, unacknowledged,
    while the ledger itself is asked; when that works, what is held is accepted first. What was held for `patience`
    seconds is given back, once: from a copy it is accepted before anything is consumed again, and only acknowledged
    when it comes the second time. `aside` reads large messages. `clock` returns milliseconds since the epoch. `report`
    receives its state.
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
        patience: float = HOLD,
        aside: Aside | None = None,
    ) -> None:
        self._link = link
        self._source = source
        self._report = report
        self._sleep = sleep
        self._random = random
        self._patience = patience
        self._pressure = Pressure(source.name, report)
        letters = Letters(dead, source, patience=patience, wait=self._wait_retry, report=self._pressure.tell)
        aside = aside or Aside(f"queue {source.name}")
        self._settler = Settler(
            source,
            intake,
            letters,
            self._pressure,
            ids=ids,
            clock=clock,
            metrics=metrics,
            aside=aside,
            wait=self._wait_retry,
        )
        self._owed = Owed(_KNOWN)
        self._steps = 0
        self._session: Session | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._ending = asyncio.Event()
        self._looked = False

    def set_paused(self, paused: bool) -> None:
        """Pause, which stops consuming and finishes what was prefetched, or go on; the same again changes nothing."""
        if paused:
            self._wanted.clear()
            self._end_session("paused")
        else:
            self._wanted.set()

    async def run(self, stop: Stop) -> None:
        """Consume until `stop` is asked; then finish what was prefetched, or give it back.

        Raises only what the intake should not have raised, of a message that cannot be buried for it either.
        """
        watching = asyncio.create_task(self._watch(stop))
        try:
            await self._run()
        finally:
            watching.cancel()

    async def _watch(self, stop: Stop) -> None:
        await stop.wait()
        self._ending.set()
        self._end_session("ended")

    async def _run(self) -> None:
        tries = 0
        while await self._may_go_on():
            if self._pressure.on and not await self._recover():
                continue
            try:
                lasted = await self._attend()
            except BrokerFault as fault:
                wait = self._delay(tries, _CAP_AWAY)
                self._report(PartState.DOWN, str(fault))
                log.warning("source.away", source=self._source.name, error=str(fault), retry_in_s=wait)
                await self._until_end(self._sleep(wait))
                tries += 1
                continue
            tries = 0 if lasted >= _LASTING or self._pressure.on else tries + 1
            if tries:
                await self._until_end(self._sleep(self._delay(tries, _CAP_AWAY)))

    async def _may_go_on(self) -> bool:
        if not self._wanted.is_set():
            # Whoever pauses a source may purge its queue: what went back into it must not come in by a copy then.
            self._owed.clear()
            self._report(PartState.DEGRADED, "paused")
            log.info("source.paused", source=self._source.name)
            await self._until_end(self._wanted.wait())
            if self._ending.is_set():
                return False
            log.info("source.resumed", source=self._source.name)
        if not self._link.up:
            self._report(PartState.DOWN, "waits for the connection to RabbitMQ")
            await self._until_end(self._link.ready())
        return not self._ending.is_set()

    async def _recover(self) -> bool:
        """With nothing held, wait until the ledger works; False when nothing is wanted before it does."""
        tries = 0
        while self._wanted.is_set() and not self._ending.is_set():
            if await self._until_end(self._repay()):
                self._pressure.end()
                return True
            await self._until_end(self._sleep(self._rest(tries)))
            tries += 1
        return False

    async def _repay(self) -> bool:
        """Settle the copies of what was given back, in order; whether that is done and the ledger takes more."""
        while copy := self._owed.first():
            if not await self._settler.is_ready():
                return False
            now = asyncio.get_running_loop().time()
            if now - copy.since > _KNOWN and not await self._settler.is_named(copy.delivery):
                self._owed.drop()
            elif await self._settler.settle(replace(copy.delivery, again=True)):
                self._owed.settle(now)
            else:
                return False
        return await self._settler.is_ready()

    async def _attend(self) -> float:
        """One session, from the look at the queue to its end; how many seconds it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        existed = await prepare(self._link, self._source)
        if existed and not self._looked:
            await warn_of_limit(self._link, self._source)
        self._looked = True
        session = await Session.open(self._link, self._handle)
        self._session = session
        try:
            await self._step(session)
            await self._serve(session)
        finally:
            self._session = None
            given_back = await session.close()
            if given_back:
                self._steps = _STEPS
                self._owed.add(given_back, loop.time())
        if session.crash is not None:
            raise session.crash
        return loop.time() - began

    async def _step(self, session: Session) -> None:
        """After a long outage take one message at a time, so that a next outage catches at most one."""
        while self._steps and self._may_take(session) and await self._settler.is_ready():
            if not await session.take(self._source.queue):
                self._steps = 0
            elif session.held:
                await self._hold(session)
            else:
                self._steps -= 1

    async def _serve(self, session: Session) -> None:
        if not self._may_take(session):
            return
        await session.consume(self._source.queue, self._source.prefetch)
        self._report(PartState.UP, "")
        log.info("source.consuming", source=self._source.name, queue=self._source.queue)
        while session.consuming and self._may_take(session):
            session.go_on()
            await session.stopped.wait()
            if self._pressure.on:
                await self._hold(session)
        if not self._wanted.is_set() and not self._pressure.on:
            # A pause: what was prefetched is finished, or held if that is not possible just now.
            await session.cancel()
            await self._until(session.finish(), self._wanted)
            await self._hold(session)
        if not self._pressure.on:
            log.info("source.stopped", source=self._source.name, why=session.why)

    def _may_take(self, session: Session) -> bool:
        wanted = self._wanted.is_set() and not self._ending.is_set()
        return wanted and not session.over.is_set() and not self._pressure.on

    async def _hold(self, session: Session) -> None:
        """Keep what cannot be settled now, and settle it as soon as the ledger works; as long as the patience lasts.

        At first the consumer stays: it gets no more than was prefetched, and to cancel it has a price (`consume`). A
        long wait leaves what else comes to other replicas.
        """
        loop = asyncio.get_running_loop()
        began, tries = loop.time(), 0
        while session.held and not session.over.is_set() and not self._ending.is_set():
            held_for = loop.time() - began
            if held_for >= self._patience:
                return
            if held_for >= min(_LINGER, self._patience / 2) or not self._wanted.is_set():
                await session.cancel()
            await self._until(self._sleep(min(self._patience - held_for, self._rest(tries))), session.over)
            tries += 1
            if await self._until_end(self._settler.is_ready()):
                await self._until_end(session.retry())
        if not session.held and self._pressure.on:
            self._pressure.end()

    async def _handle(self, delivery: Delivery) -> bool:
        """Whether the message is settled; if not it is held."""
        if self._owed.is_settled(delivery, asyncio.get_running_loop().time()):
            return True
        settled = await self._settler.settle(delivery)
        if not settled:
            self._end_session("pressed", hold=True)
        return settled

    def _end_session(self, why: str, *, hold: bool = False) -> None:
        if self._session is not None:
            self._session.stop(why, hold=hold)

    async def _wait_retry(self, tries: int) -> None:
        await self._until_end(self._sleep(self._delay(tries, _CAP)))
        if self._ending.is_set():
            raise BrokerFault("the relay stops")

    def _rest(self, tries: int) -> float:
        return max(self._delay(tries, _CAP), self._pressure.pause)

    def _delay(self, tries: int, cap: int) -> float:
        return max(_LEAST, backoff(tries, first=_FIRST, cap=cap, random=self._random)) / 1_000

    async def _until_end(self, call: Awaitable[T]) -> T | None:
        """The answer; None when the end came before it."""
        return await self._until(call, self._ending)

    async def _until(self, call: Awaitable[T], event: asyncio.Event) -> T | None:
        """The answer; None when the event, or the end, came before it."""
        task = asyncio.ensure_future(call)
        events = [asyncio.create_task(each.wait()) for each in {event, self._ending}]
        try:
            await asyncio.wait((task, *events), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for each in (task, *events):
                each.cancel()
            await asyncio.gather(task, *events, return_exceptions=True)
