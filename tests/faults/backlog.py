"""Many dispatches that are not finished when all replicas start again."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from statistics import quantiles

from sqlalchemy import text

from relay.ledger import Terms, open_ledger
from relay.model import Entry, State
from tests.bench.history import LOT, UNLIMITED
from tests.bench.processes import peak_rss
from tests.e2e.harness import Relay
from tests.faults.row import Row
from tests.faults.tally import Lists
from tests.faults.world import World
from tests.ledger.build import make_entry

SOURCE = "backlog"
FEW, MANY = 20_000, 1_000_000
"""Unfinished dispatches in the usual form, and in `--full`."""
READY, FIRST, MEMORY = 10.0, 2.0, 200.0
"""Seconds until a replica is ready, then seconds until the first call; and MiB that each may take."""
DRAIN = 8.0
"""Seconds for which new events come in while it drains."""
CHAT = '{"trigger": {"type": "connector", "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"}}'
LAST = {"priority": 0}
"""So that a row need not wait until all have had their turn: what comes in goes before them."""
BODY = {"type": "deal.won", "id": 1, "note": "x" * 700}
TRICKLE = 0.2
"""Events a second while the replicas are away."""
FLOOD = 2_000
"""Unfinished dispatches of a source that floods, with the priority of the others."""
CARGO = "30/s"
"""How fast they go: in their order alone, those that come in would wait for a minute."""
STREAM = 4.0
"""Events a second of the quiet source."""
LONGEST = 10.0
"""Seconds that such an event may wait for its result, at p99."""
_ROWS = text(f"SELECT id, state FROM dispatches WHERE source = '{SOURCE}'")


async def start_with_many(world: World) -> None:
    """All replicas are killed, and start again on a ledger that has been filled meanwhile."""
    rate, world.stream.rate = world.stream.rate, TRICKLE
    began, ready = await _start_over(world, _size(world), LAST)
    _promise(world, "ready", max(ready) - began, READY, "s")
    world.stream.rate = rate
    world.stream.forget_waits()
    if await world.until(lambda: _first_call(world, began), "a call after the start"):
        _promise(world, "first call", await _first_call(world, began) - min(ready), FIRST, "s later")
    await world.pass_time(DRAIN)
    await world.recover()
    await _tell_answers(world)
    _promise(world, "memory", max(peak_rss(relay.pid) for relay in world.replicas), MEMORY, "MiB")


async def flood(world: World) -> None:
    """One source has more due than Cargo takes for a long time; the few events of another one do not wait for it."""
    world.stream.rate = TRICKLE
    await _start_over(world, FLOOD, {})
    world.stream.rate, mark = STREAM, world.stream.started
    await world.pass_time(2 * DRAIN)
    await world.recover()
    stream, told = world.stream, world.results.when
    names = {number: f"msg_{number}" for number in range(mark + 1, stream.started + 1) if number in stream.accepted}
    waits = [told[name] - stream.accepted[number] for number, name in names.items() if name in told]
    middle, last = (quantiles(waits, n=100)[at] for at in (49, -1))
    world.notes.append(f"of a quiet source {len(waits)} events, told after {middle:.1f} s (p50)")
    _promise(world, "at p99", last, LONGEST, "s")


async def check_backlog(world: World, lists: Lists) -> Iterable[str]:
    """All that was unfinished is there still, or has its one chat."""
    return await _check(world, _size(world))


async def check_flood(world: World, lists: Lists) -> Iterable[str]:
    """The same of the flood."""
    return await _check(world, FLOOD)


async def _check(world: World, count: int) -> list[str]:
    for relay in world.replicas:
        relay.kill()
    ledger = await open_ledger(world.replicas[0].ledger, Terms("faults"))
    try:
        rows = await ledger.read(lambda conn, _: conn.execute(_ROWS).all())
    finally:
        await ledger.aclose()
    made = Counter(chat["dispatch"] for chat in await world.simulator.chats())
    done = [name for name, state in rows if state == State.DONE]
    world.notes.append(f"{len(done):,} of {len(rows):,} drained")
    wrong = [f"{len(rows)} of {count} dispatches are there"] if len(rows) != count else []
    wrong += [f"{state} is {name}" for name, state in rows if state not in {None, State.DONE}]
    return wrong + [f"{name} is done and has {made[name]} chats" for name in done if made[name] != 1]


def _size(world: World) -> int:
    return MANY if world.full else world.times(FEW)


async def _start_over(world: World, count: int, plan: Mapping[str, int]) -> tuple[float, list[float]]:
    """Kill all replicas, add that many dispatches, start them. Returns when that began, and when each was ready."""
    for relay in world.replicas:
        world.kill(relay)
    await _fill(world.replicas[0].ledger, count, plan)
    began = time.time()
    return began, await asyncio.gather(*(_start(world, relay) for relay in world.replicas))


async def _fill(url: str, count: int, plan: Mapping[str, int]) -> None:
    ledger = await open_ledger(url, Terms("faults", high_water=UNLIMITED))
    try:
        for begun in range(0, count, LOT):
            await ledger.accept([_entry(plan) for _ in range(min(LOT, count - begun))])
    finally:
        await ledger.aclose()


def _entry(plan: Mapping[str, int]) -> Entry:
    entry = make_entry(source=SOURCE, rules=("deal",), body=BODY)
    return replace(entry, dispatches=tuple(replace(each, body=CHAT, plan=plan or None) for each in entry.dispatches))


async def _start(world: World, relay: Relay) -> float:
    """When it was ready."""
    await world.start(relay)
    return time.time()


async def _first_call(world: World, began: float) -> float:
    """When the first chat was made, 0 when there is none."""
    moments = [datetime.fromisoformat(chat["createdAt"]).timestamp() for chat in await world.simulator.chats()]
    return min((moment for moment in moments if moment >= began), default=0)


async def _tell_answers(world: World) -> None:
    """How long new events waited for their answers while it drained; none was refused."""
    waits = [wait for status in (200, 202) for wait in world.stream.waits[status]]
    world.notes.append(f"answers {quantiles(waits, n=100)[-1] * 1_000:.0f} ms (p99)")
    if refused := len(world.stream.waits[503]):
        world.wrong.append(f"{refused} events were refused while the backlog drained")


def _promise(world: World, what: str, figure: float, most: float, unit: str) -> None:
    world.notes.append(f"{what} {figure:.{0 if most > 50 else 1}f} {unit}")
    if figure > most:
        world.wrong.append(f"{what}: {figure:.1f} {unit}, and {most:g} is promised")


ROWS = (
    Row(
        "backlog",
        f"a start with {FEW:,} unfinished dispatches ({MANY:,} in --full)",
        start_with_many,
        usual="postgres",
        options={"high_water": UNLIMITED},
        check=check_backlog,
    ),
    Row(
        "flood",
        f"{FLOOD:,} dispatches of one source are due, at {CARGO}",
        flood,
        usual="postgres",
        options={"high_water": UNLIMITED, "rate": CARGO},
        check=check_flood,
    ),
)
