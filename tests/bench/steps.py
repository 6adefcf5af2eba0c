"""What each step of an event costs, in this process: one event alone, and 32 together as in a burst.

CPU is of this process with all its threads; what the servers of the ledger and the broker use is not in it, nor what
HTTP takes. Only time shows how long a step waits for them.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import uvloop

from relay.broker import Address, ResultPublisher
from relay.broker import Broker as Links
from relay.cargo import Cargo
from relay.dispatch import Policy, outcome
from relay.dispatch.stamp import stamp_body
from relay.intake import Intake
from relay.ledger import SqlLedger, Terms, open_ledger
from relay.life import Stop
from relay.model import Settled
from relay.outbox.wire import encode
from relay.secret import Secret
from tests.bench.contest import POSTGRES, SQLITE
from tests.bench.processes import CONCURRENCY, cargo
from tests.bench.report import Report
from tests.bench.rules import make_intake
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes
from tests.ledger.build import make_event

T = TypeVar("T")

POLICY = Policy(timeout=30_000, first=1_000, cap=60_000, give_up_after=3_600_000, settle=60_000)
STEPS = ("accept", "claim", "call", "record", "lease", "publish", "settle")
BODY = {"ticket": 1, "note": "x" * 700}


@dataclass(slots=True)
class Costs:
    """Seconds by step, summed: of the processor, and of the clock."""

    events: int = 0
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu[name] += time.process_time() - cpu
        self.wall[name] += time.perf_counter() - wall


@dataclass(frozen=True, slots=True)
class Bench:
    """The parts of a relay that an event passes, as `relay serve` would make them."""

    intake: Intake
    ledger: SqlLedger
    chats: Cargo
    results: ResultPublisher


def bench_steps(report: Report, sizes: Sizes, folder: Path, servers: Servers) -> None:
    with cargo(folder) as url, servers.rabbit.vhost() as amqp, servers.database.database() as postgres:
        for name, ledger in ((SQLITE, f"sqlite:///{folder}/steps.db"), (POSTGRES, postgres)):
            alone, together = uvloop.run(_measure(ledger, url, amqp, sizes.calls))
            heads = (f"{name}, ms an event", "CPU alone", "time", f"CPU of {CONCURRENCY} together", "time")
            report.table(heads, [_row(report, name, step, alone, together) for step in (*STEPS, "sum")])


def _row(report: Report, ledger: str, step: str, alone: Costs, together: Costs) -> list[str]:
    cells = [step]
    for how, costs in (("alone", alone), (f"{CONCURRENCY} together", together)):
        for what, seconds in (("CPU", costs.cpu), ("time", costs.wall)):
            value = (sum(seconds.values()) if step == "sum" else seconds[step]) * 1_000 / costs.events
            report.record(f"{ledger}, {step}, {what} {how}", value, "ms")
            cells.append(f"{value:.2f}")
    return cells


async def _measure(ledger: str, cargo_url: str, amqp: str, calls: int) -> tuple[Costs, Costs]:
    """The costs of `calls` events one after the other, and of as many in batches."""
    async with _make(ledger, cargo_url, amqp) as bench:
        for _ in range(3):
            await _pass(bench, CONCURRENCY, Costs())  # connections, statements, caches
        alone, together = Costs(), Costs()
        # They take turns, so that a slow moment of the machine meets both.
        for _ in range(max(1, calls // CONCURRENCY)):
            for _ in range(CONCURRENCY):
                await _pass(bench, 1, alone)
            await _pass(bench, CONCURRENCY, together)
    return alone, together


@asynccontextmanager
async def _make(url: str, cargo_url: str, amqp: str) -> AsyncIterator[Bench]:
    stop = Stop()
    links = Links(Address(Secret(amqp)), report=lambda *_: None)
    ledger = await open_ledger(url, Terms("bench", lease=POLICY.lease), migrate=True)
    task = asyncio.create_task(links.run(stop))
    try:
        async with Cargo(cargo_url, Secret("bench"), timeout=30, connections=CONCURRENCY) as chats:
            results = ResultPublisher(links.publishing, exchange="relay.results", queue="relay.results")
            links.publishing.want(results.ensure)
            yield Bench(make_intake(ledger, 10), ledger, chats, results)
    finally:
        stop.begin(0)
        await task
        await ledger.aclose()


async def _pass(bench: Bench, count: int, costs: Costs) -> None:
    """Bring `count` events from the webhook's body to the settled result."""
    events = [make_event(body=BODY) for _ in range(count)]
    with costs.step("accept"):
        await _all(bench.intake.accept([event]) for event in events)
    with costs.step("claim"):
        claims = await bench.ledger.claim(count)
    with costs.step("call"):
        chats = await _all(bench.chats.create(stamp_body(claim.dispatch)) for claim in claims)
    now = time.time_ns() // 1_000_000
    with costs.step("record"):
        await _all(
            bench.ledger.record(outcome.next_move(claim, chat, POLICY, took=1, now=now))
            for claim, chat in zip(claims, chats, strict=True)
        )
    with costs.step("lease"):
        due = await bench.ledger.due(count)
    with costs.step("publish"):
        await _all(bench.results.publish(each, encode(each.result)) for each in due)
    with costs.step("settle"):
        await _all(bench.ledger.settle(Settled(each.result.id, each.destination, confirmed=True)) for each in due)
    if len(due) != count:
        raise SystemExit(f"{count} events went in, {len(claims)} were claimed and {len(due)} results came out")
    costs.events += count


async def _all(calls: Iterable[Awaitable[T]]) -> list[T]:
    return await asyncio.gather(*calls)
