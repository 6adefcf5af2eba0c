"""Cargo: answers that are lost, refusals, outages, a list that grows while it is read."""

import asyncio
import json
import math
import time
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from relay.limits import TROUBLED
from relay.sandbox import Faults
from tests.e2e.harness import TOKEN
from tests.faults.row import Row
from tests.faults.world import World

WELL = Faults()
UNCLEAR = Faults(
    lost=0.08, reset_before=0.05, reset_after=0.08, error_before=0.05, error_after=0.08, html=0.04, empty=0.04
)
DRAFTS = """  - name: draft
    type: "deal.*"
    chat:
      name: "Draft {{ data.id }}"
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a
      trigger: {type: draft}
"""
CONCURRENCY = 8
"""Calls in flight per replica (tests.e2e.harness.Relay)."""
TIMEOUT = 1.0
"""Seconds of `cargo.timeout` there: what a call may take to Cargo."""
RATE = 25
"""Calls a second over all replicas, where a row limits them: 10 more than events come."""
OUTAGE = 8.0
FIRST, FULL = 5.0, 30.0
"""Seconds after the end of an outage until the first call, and until calls come at the full rate."""
SPAN, NEARLY = 2.0, 0.9
"""Calls come at the full rate when so many seconds have this share of it."""


async def lose_answers(world: World) -> None:
    """A third of the creations have no answer that says whether there is a chat."""
    await _troubled(world, UNCLEAR, seconds=8)


async def throttle(world: World) -> None:
    """A storm of 429, with and without Retry-After."""
    await _troubled(world, Faults(throttled=0.4, throttled_bare=0.3), seconds=6)


async def deny(world: World) -> None:
    """401 to everything, then well: no attempt is burnt, nothing is parked."""
    await _troubled(world, Faults(denied=401), seconds=6)
    if parked := sum(relay.logged("chat.parked") for relay in world.replicas):
        world.wrong.append(f"{parked} dispatches were parked by a refused token")


async def go_away(world: World) -> None:
    """500 to everything, then well."""
    for _ in world.turns(2):
        await _away(world, Faults(error_before=1, on="both", list_errors=1, status=500))
        await _see_first_call(world, time.time())
        await world.recover()


async def go_away_at_rate(world: World) -> None:
    """The same, and what has waited goes at the full rate soon, and not faster."""
    for _ in world.turns(2):
        await _away(world, Faults(error_before=1, on="both", list_errors=1, status=500))
        await _see_full_rate(world, time.time())
        await world.recover()


async def park_drafts(world: World) -> None:
    """An outage, while half of the chats carry no stamp: of those only what was in flight is parked.

    That is what a replica has in flight, and what it has begun until it knows that Cargo is away.
    """
    before = sum(relay.logged("chat.parked") for relay in world.replicas)
    await go_away(world)
    parked = sum(relay.logged("chat.parked") for relay in world.replicas) - before
    most = world.faults * len(world.replicas) * (CONCURRENCY + TROUBLED)
    world.notes.append(f"{parked} of {len(world.stream.accepted)} drafts parked")
    if parked > most:
        world.wrong.append(f"{parked} drafts were parked, and no more than {most} were in flight")


async def hang(world: World) -> None:
    """Calls hang until our time-out, and half of the chats are there all the same: at first some calls, then all."""
    await _troubled(world, Faults(hang_after=0.3), seconds=4)
    await _away(world, Faults(hang=0.5, hang_after=0.5, on="both", list_errors=1))
    await _see_full_rate(world, time.time())
    await world.recover()


async def hide(world: World) -> None:
    """Chats are in the list only later, and it fails now and then."""
    await _troubled(world, Faults(lost=0.3, list_lag=0.8, list_errors=0.3), seconds=8)


async def grow(world: World) -> None:
    """Others make 50 chats a second, while the list is searched for chats whose answers were lost."""
    task = asyncio.create_task(_make_others(world))
    try:
        await _troubled(world, Faults(lost=0.1, reset_before=0.1), seconds=10)
    finally:
        task.cancel()
    scans = [line for relay in world.replicas for line in relay.lines() if line["event"].startswith("scan.")]
    failed = [line for line in scans if line["event"] == "scan.failed"]
    world.notes.append(f"{len(scans) - len(failed)} scans ended, {len(failed)} failed")
    if failed or not scans:
        world.wrong.append(f"{len(failed)} of {len(scans)} scans failed: {failed[0].get('error') if failed else ''}")


async def _troubled(world: World, faults: Faults, *, seconds: float) -> None:
    await world.simulator.set_faults(faults)
    await world.pass_time(max(3, seconds * world.length))
    stats: dict[str, Any] = await world.simulator.stats()
    world.faults += sum(stats["struck"].values()) or 1
    await world.simulator.set_faults(WELL)
    await world.recover()


async def _make_others(world: World) -> None:
    body = json.dumps({"trigger": {"type": "connector", "connectorUuid": "9b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"}})
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    due = time.monotonic()
    while True:
        async with world.session.post(f"{world.simulator.url}/ai/chats", data=body, headers=headers):
            pass
        due += 1 / 50
        await asyncio.sleep(max(0, due - time.monotonic()))


async def _away(world: World, faults: Faults) -> None:
    """Cargo is away for some seconds, then well again."""
    await world.simulator.set_faults(faults)
    await world.pass_time(OUTAGE)
    world.faults += 1
    await world.simulator.set_faults(WELL)


async def _see_first_call(world: World, ended: float) -> None:
    if await world.until(lambda: _made(world, ended), f"a call after the outage within {FIRST:g} s", within=FIRST):
        world.notes.append(f"first call {min(await _made(world, ended)):.1f} s")


async def _see_full_rate(world: World, ended: float) -> None:
    """What has waited goes at the rate of all replicas: no slower within `FULL`, and never faster."""
    await _see_first_call(world, ended)

    async def full() -> bool:
        return _fastest(await _made(world, ended), SPAN)[1] >= NEARLY * RATE * SPAN

    if await world.until(full, f"{RATE} calls a second after the outage", within=FULL):
        await world.pass_time(SPAN)  # a herd would still be coming
        began, _ = _fastest(await _made(world, ended), SPAN, enough=NEARLY * RATE * SPAN)
        world.notes.append(f"full rate {began:.1f} s")
    _, most = _fastest(await _made(world, ended), SPAN)
    if most > RATE * (SPAN + TIMEOUT):
        world.wrong.append(f"{most} calls came within {SPAN:g} s of an outage's end, and the rate is {RATE} a second")


async def _made(world: World, since: float) -> list[float]:
    """When chats were made, in seconds after `since`."""
    moments = [datetime.fromisoformat(chat["createdAt"]).timestamp() - since for chat in await world.simulator.chats()]
    return sorted(moment for moment in moments if moment >= 0)


def _fastest(moments: Sequence[float], span: float, *, enough: float = math.inf) -> tuple[float, int]:
    """Where the `span` begins in which most came, or the first one with `enough`; and how many came in it."""
    best = (0.0, 0)
    for place, start in enumerate(moments):
        count = bisect_left(moments, start + span) - place
        if count >= enough:
            return start, count
        best = max(best, (start, count), key=itemgetter(1))
    return best


ROWS = (
    Row("cargo-lost", "a third of the answers lost, reset, or garbage", lose_answers),
    Row("cargo-429", "throttled, with and without Retry-After", throttle, ledgers=("sqlite",)),
    Row("cargo-401", "the token refused, then accepted", deny, ledgers=("sqlite",)),
    Row(
        "cargo-500",
        "an outage, then well",
        go_away_at_rate,
        usual="postgres",
        options={"rate": f"{RATE}/s"},
    ),
    Row(
        "cargo-drafts",
        "an outage, with chats that carry no stamp",
        park_drafts,
        usual="sqlite",
        options={"rules": DRAFTS},
    ),
    Row(
        "cargo-hang",
        "calls hang, and half of their chats are made",
        hang,
        usual="sqlite",
        options={"rate": f"{RATE}/s"},
    ),
    Row("cargo-list", "a list that lags and fails", hide, ledgers=("sqlite",)),
    Row("cargo-growing", "50 other chats a second during scans", grow, ledgers=("postgres",)),
)
