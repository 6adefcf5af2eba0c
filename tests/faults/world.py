"""One row's surroundings: Cargo, RabbitMQ, a ledger, replicas, senders and a consumer."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.processes import is_up
from tests.e2e.harness import TOKEN, Relay
from tests.e2e.simulator import Simulator
from tests.faults.results import Results, consuming
from tests.faults.servers import Servers
from tests.faults.stream import QUEUE, Stream
from tests.faults.tally import Lists, Tally, compare, is_over
from tests.services.process import Process, find_port, wait_until

RATE = 15.0
"""Events a second. Faults are what is tried, not the machine's speed."""
BUDGET = 10.0
"""Seconds within which a row begins its faults."""
SOURCES = ("crm", "bus")
PATIENCE = 120.0
"""Seconds after the last fault until everything must have come to its end."""


@dataclass(slots=True)
class World:
    """`length` is how much of a row is done: 1 is its usual form, the short one is less.

    `broker` and `database` are the servers, `amqp` has the addresses of the broker's nodes with the virtual host,
    separated by spaces. `full` asks a row for its whole size.

    `wrong` are broken promises that the four lists do not show, `notes` what is worth telling beside the figures.
    """

    replicas: list[Relay]
    simulator: Simulator
    stream: Stream
    results: Results
    broker: Any
    database: Any
    session: aiohttp.ClientSession
    ledger: str
    amqp: str
    folder: Path
    length: float
    full: bool
    chance: random.Random = field(default_factory=random.Random)
    faults: int = 0
    recoveries: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def times(self, count: int) -> int:
        """How often something is to be done in this form of the row."""
        return max(1, round(count * self.length))

    def turns(self, count: int) -> Iterator[int]:
        """As many turns as `times`, but no new one after `BUDGET` seconds: a slow machine does fewer."""
        end = time.monotonic() + BUDGET * self.length
        for turn in range(self.times(count)):
            if turn and time.monotonic() > end:
                return
            yield turn

    async def pass_time(self, seconds: float) -> None:
        """Let events flow."""
        await asyncio.sleep(seconds)

    def kill(self, relay: Relay) -> None:
        relay.kill()
        self.faults += 1

    def send(self, relay: Relay, number: signal.Signals) -> None:
        os.kill(relay.pid, number)

    async def start(self, relay: Relay) -> None:
        await asyncio.to_thread(relay.start)

    async def recover(self) -> None:
        """Wait until an event that was sent after now is told, and note how long that took."""
        began, mark = time.monotonic(), self.stream.started
        while not (fresh := [self.results.when[name] for name in self._after(mark)]):
            if time.monotonic() > began + PATIENCE:
                self.wrong.append(f"no event that was sent after a fault was told within {PATIENCE:g} s")
                return
            await asyncio.sleep(0.05)
        self.recoveries.append(min(fresh) - began)

    async def until(self, holds: Callable[[], Any], what: str, *, within: float = 30) -> bool:
        """Wait for a condition; when it does not come true in time, that is a broken promise."""
        end = time.monotonic() + within
        while True:
            answer = holds()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return True
            if time.monotonic() > end:
                self.wrong.append(f"within {within:g} s not: {what}")
                return False
            await asyncio.sleep(0.1)

    async def ready(self, relay: Relay) -> int:
        """The status of /readyz; 0 without an answer."""
        try:
            async with self.session.get(relay.url("health") + "/readyz") as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    def _after(self, mark: int) -> list[str]:
        return [
            name
            for number in range(mark + 1, self.stream.started + 1)
            if (name := f"msg_{number}") in self.results.when
        ]

    async def finish(self, tally: Tally) -> Lists:
        """End the stream, wait for what is under way, and count the four lists, which it returns."""
        late = await self.stream.stop(within=PATIENCE)
        if late:
            self.wrong.append(f"{late} events were not accepted within {PATIENCE:g} s")
        names = {f"msg_{number}" for number in self.stream.accepted}
        events = await self._drain(names)
        told = self.results
        lists = Lists(names, await self.simulator.chats(), told.ends, events, told.said, told.by)
        compare(tally, lists)
        tally.faults, tally.recovery = self.faults, max(self.recoveries, default=0.0)
        self.notes += [f"{count} {step}" for step, count in self._oddities().items() if count]
        tally.wrong += self.wrong + self.results.contradictions
        return lists

    async def _drain(self, names: set[str]) -> list[dict[str, Any]]:
        """The ledger's rows, once all has come to its end and was told, or after `PATIENCE`."""
        end = time.monotonic() + PATIENCE
        while not is_over(names, self.results.told, events := await self._events()) and time.monotonic() < end:
            await asyncio.sleep(0.5)
        return events

    async def details(self, events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """These events with their attempts, by the API of a replica that lives."""
        relay = next(relay for relay in self.replicas if relay.alive())
        found = []
        for event in events:
            async with self.session.get(f"{relay.url('ops')}/api/events/{event['id']}") as answer:
                answer.raise_for_status()
                found.append(await answer.json())
        return found

    async def _events(self) -> list[dict[str, Any]]:
        """The ledger's rows of what senders sent, by the API of a replica that lives."""
        return [event for source in SOURCES for event in await self._page_through(source)]

    async def _page_through(self, source: str) -> list[dict[str, Any]]:
        relay = next(relay for relay in self.replicas if relay.alive())
        events: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query = {"limit": "500", "source": source} | ({"cursor": cursor} if cursor else {})
            async with self.session.get(relay.url("ops") + "/api/events", params=query) as answer:
                answer.raise_for_status()
                page = await answer.json()
            events += page["events"]
            cursor = page["cursor"]
            if not cursor:
                return events

    def _oddities(self) -> Mapping[str, int]:
        return {step: sum(relay.logged(step) for relay in self.replicas) for step in ("part.failed", "chat.duplicated")}


@asynccontextmanager
async def inhabit(
    servers: Servers,
    folder: Path,
    *,
    ledger: str,
    replicas: int,
    length: float,
    full: bool,
    seed: int,
    options: Mapping[str, Any],
    disk: Callable[[Path], AbstractContextManager[None]] | None,
    broker: Callable[[], AbstractContextManager[Any]] | None,
    database: Callable[[], AbstractContextManager[Any]] | None,
) -> AsyncIterator[World]:
    """A world in which events flow. `options` are those of the replicas, `disk` is mounted at their ledger's folder."""
    async with AsyncExitStack() as stack:
        rabbit = servers.rabbit if broker is None else await _enter(stack, broker())
        amqp = await _enter(stack, rabbit.vhost())
        postgres = url = None
        if ledger == "postgres":
            postgres = servers.postgres if database is None else await _enter(stack, database())
            url = await _enter(stack, postgres.database())
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        simulator = await stack.enter_async_context(_simulate(folder))
        results = await stack.enter_async_context(consuming(amqp))
        relays = [_make(folder / f"replica-{number}", simulator.url, url, amqp, options) for number in range(replicas)]
        if disk is not None:
            stack.enter_context(disk(relays[0].folder / "data"))
        stack.push_async_callback(_end, relays)
        await asyncio.gather(*(asyncio.to_thread(relay.start) for relay in relays))
        stream = Stream(session, [relay.url("hooks") for relay in relays], amqp, rate=RATE)
        stack.push_async_callback(stream.stop, within=0)
        yield World(
            *(relays, simulator, stream, results, rabbit, postgres, session, ledger, amqp, folder, length, full),
            chance=random.Random(seed),
        )


async def _enter(stack: AsyncExitStack, manager: AbstractContextManager[Any]) -> Any:
    """Enter and leave it beside the event loop, on which other rows are played."""
    entered = await asyncio.to_thread(manager.__enter__)
    stack.push_async_callback(asyncio.to_thread, manager.__exit__, None, None, None)
    return entered


def _make(folder: Path, cargo: str, database: str | None, amqp: str, options: Mapping[str, Any]) -> Relay:
    data = folder / "data"
    data.mkdir(parents=True)
    return Relay(
        folder, cargo=cargo, ledger=database or f"sqlite:///{data}/relay.db", amqp=amqp, queue=QUEUE, **options
    )


async def _end(relays: list[Relay]) -> None:
    await asyncio.gather(*(asyncio.to_thread(relay.kill) for relay in relays))


@asynccontextmanager
async def _simulate(folder: Path) -> AsyncIterator[Simulator]:
    """`relay sandbox` as a process."""
    folder.mkdir(parents=True, exist_ok=True)
    port = find_port()
    command = [sys.executable, "-m", "relay", "sandbox", "--port", str(port), "--token", TOKEN]
    process = Process(command, log=folder / "sandbox.log")
    url = f"http://127.0.0.1:{port}"
    try:
        await asyncio.to_thread(
            wait_until, lambda: is_up(f"{url}/_stats"), seconds=60, alive=process.alive, describe=process.describe
        )
        async with aiohttp.ClientSession(url) as session:
            yield Simulator(f"{url}/v1", session)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
