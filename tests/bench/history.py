"""What must not grow with history: claim, accept, the first page of the list, and how pruning holds up others; and what
must not grow with what is held: the claim."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from sqlalchemy import Connection

from relay.app.run import freeze
from relay.ledger import SqlLedger, Terms, open_ledger
from relay.ledger.queries import days
from relay.model import EventQuery
from tests.bench.contest import POSTGRES, SQLITE
from tests.bench.report import Aim, Report
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes
from tests.ledger.build import created, made_at, make_entry

BATCH = 32
ROUNDS = 40
LOT = 500
HELD = {"delay": {"for": 3_600_000, "key": None}}
UNLIMITED = 10**9
TICK = 0.001
EVERY = 0.02
"""Seconds between the accepts that are timed while the ledger is pruned."""
CALM = 20.0
"""Seconds at most for which the same is measured without pruning."""


def bench_history(report: Report, sizes: Sizes, folder: Path, servers: Servers) -> None:
    with servers.database.database() as full, servers.database.database() as empty:
        for name, url, other in (
            (SQLITE, f"sqlite:///{folder}/full.db", f"sqlite:///{folder}/empty.db"),
            (POSTGRES, full, empty),
        ):
            # On the event loop that `relay serve` runs on.
            uvloop.run(_measure(report, name, url, other, sizes.many))


async def _measure(report: Report, name: str, url: str, other: str, many: int) -> None:
    # Everything expires at once, but nothing is deleted before `prune` is called.
    terms = Terms("bench", publish=False, high_water=UNLIMITED, retain=1, remember=1)
    ledger, empty = [await open_ledger(each, terms, migrate=True) for each in (url, other)]
    freeze()  # as `relay serve` does
    try:
        day = await ledger.write(partial(_make_day, terms=terms))
        await finish_many(ledger, many, day)
        if name == POSTGRES:
            await vacuum(url)
        ours, theirs = await _time_all(ledger, empty)
        for what, taken in ours.items():
            aim = Aim("at most", 1.2)
            report.compare(f"{name}, {what} after {many:,} events", taken, "ms", "empty", theirs[what], aim)
        await _watch_prune(report, name, ledger)
        await accept_many(empty, many, dispatch={"plan": HELD})
        [beside] = await _time_all(empty)
        what = f"claim of {BATCH}"
        report.compare(f"{name}, {what} beside {many:,} held", beside[what], "ms", "none", theirs[what], aim)
    finally:
        await empty.aclose()
        await ledger.aclose()


def _make_day(conn: Connection, now: int, *, terms: Terms) -> int:
    """Make the partitions of a day that is over, where there are any: only those of whole days are dropped.

    Returns a moment of that day, in milliseconds since the epoch.
    """
    moment = now - 2 * days.DAY
    days.make(conn, moment, terms=terms)
    return moment


async def vacuum(url: str) -> None:
    """Do what autovacuum would have done in the days that such a history takes."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def accept_many(ledger: SqlLedger, count: int, *, moment: int | None = None, **entry: Any) -> None:
    """Accept `count` events with one dispatch each, as of this moment."""
    while count > 0:
        made = [make_entry(**entry) for _ in range(min(LOT, count))]
        await ledger.accept(made if moment is None else [made_at(moment, each) for each in made])
        count -= LOT


async def finish_many(ledger: SqlLedger, count: int, moment: int) -> None:
    """Leave so many finished events of that moment behind, as calls that made their chats do."""
    for done in range(0, count, 10 * LOT):
        await accept_many(ledger, min(10 * LOT, count - done), moment=moment)
        await _finish_all(ledger)


async def _finish_all(ledger: SqlLedger) -> None:
    while claims := await ledger.claim(LOT):
        await asyncio.gather(*(ledger.record(created(claim)) for claim in claims))


async def _time_all(*ledgers: SqlLedger) -> list[dict[str, list[float]]]:
    """Milliseconds of each operation in each round, its commit included; the ledgers take turns.

    Leaves nothing unfinished.
    """
    taken: list[dict[str, list[float]]] = [defaultdict(list) for _ in ledgers]
    for _ in range(ROUNDS):
        for ledger, mine in zip(ledgers, taken, strict=True):
            accepts = asyncio.gather(*(ledger.accept([make_entry()]) for _ in range(BATCH)))
            mine[f"accept of {BATCH}"].append(await _time(accepts))
            mine[f"claim of {BATCH}"].append(await _time(ledger.claim(BATCH)))
            mine["page 1 of the list"].append(await _time(ledger.events(EventQuery())))
            await ledger.give_back([])  # so that the next line claims them too
            await _finish_all(ledger)
    return taken


async def _time(call: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await call
    return (time.perf_counter() - began) * 1_000


async def _watch_prune(report: Report, name: str, ledger: SqlLedger) -> None:
    """Prune everything without the pauses between turns that `relay serve` makes, while events are accepted."""
    began = time.perf_counter()
    pruned, busy = await _watch(ledger, _prune_all(ledger))
    seconds = time.perf_counter() - began
    # As long, because the longest of anything grows with the time that is looked at.
    _, calm = await _watch(ledger, asyncio.sleep(min(seconds, CALM), 0))
    report.value(f"{name}, pruned", pruned / seconds, "events/s")
    for what, index, aim in (
        ("longest stall of the loop while pruning", 0, None),
        ("the same in processor time of this process", 1, Aim("at most", 50, "ms")),
        ("slowest accept while pruning", 2, None),
    ):
        report.compare(f"{name}, {what}", [busy[index]], "ms", "without", [calm[index]], aim)


async def _prune_all(ledger: SqlLedger) -> int:
    """Events are accepted meanwhile, which expire too: a turn that deletes few has reached them."""
    total = 0
    while (pruned := await ledger.prune()) > BATCH:
        total += pruned
    return total


async def _watch(ledger: SqlLedger, work: Awaitable[int]) -> tuple[int, tuple[float, float, float]]:
    """Do the work; meanwhile the longest time in ms for which the loop did not turn, on the clock and in processor time
    of this process, and the longest of an accept.

    Other processes make a stall of the clock, not one of processor time, which has what threads held up the loop.
    """
    stalls, busy, accepts = [0.0], [0.0], [0.0]

    async def turn() -> None:
        while True:
            began, spent = time.perf_counter(), time.process_time()
            await asyncio.sleep(TICK)
            stalls.append((time.perf_counter() - began - TICK) * 1_000)
            busy.append((time.process_time() - spent) * 1_000)

    async def accept() -> None:
        while True:
            began = time.perf_counter()
            await ledger.accept([make_entry()])
            accepts.append((time.perf_counter() - began) * 1_000)
            await asyncio.sleep(EVERY)

    tasks = [asyncio.create_task(turn()), asyncio.create_task(accept())]
    try:
        done = await work
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return done, (max(stalls), max(busy), max(accepts))
