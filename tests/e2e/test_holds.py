"""Keys that hold a dispatch back keep their promise over SIGKILL between any two commits."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import lt
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.harness import Relay, Vendor, eventually
from tests.e2e.promises import (
    Kept,
    by_rule,
    check_each,
    check_gathering,
    check_once,
    check_order,
    check_thread,
    check_windows,
)
from tests.e2e.simulator import Simulator, simulating

EVENTS = 8
KINDS = ("once", "last", "all", "order", "thread", "delay")
RULE = """\
  - name: {name}
    type: {name}.*
    {key}
    chat:
      name: "{name} {{{{ data.id }}}}"
      trigger:
        type: connector
        connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f
        meta: {{id: "{{{{ data.id }}}}", kind: {name}}}
"""
TWO = '"{{ data.id % 2 }}"'
KEYS = {
    "once": f"once: {TWO}",
    "last": f"debounce: {{key: {TWO}, wait: 400ms, max: 800ms}}",
    "all": f"debounce: {{key: {TWO}, wait: 400ms, max: 800ms, keep: all}}\n"
    "    message: \"{{ events | map(attribute='data.id') | join(',') }}\"",
    "order": f"order: {TWO}",
    "thread": f'thread: {{key: {TWO}, idle: 1h}}\n    message: "{{{{ data.id }}}}"',
    "delay": "delay: 300ms",
}
RULES = "".join(RULE.format(name=name, key=key) for name, key in KEYS.items())
POINTS = (
    *("accept.before", "accept.after", "claim.after", "claims.before", "claims.after"),
    *("create.after", "say.before", "say.after", "record.before", "record.after", "close.before", "close.after"),
    "commit.before",
)
COUNTS = {"claim.after": 4, "close.before": 1, "close.after": 1}
"""At which arrival a relay dies, where a ninth is not sure: one claim may take many, one call may close all windows."""
CHECKS = {
    "once": check_once,
    "last": check_windows,
    "all": check_gathering,
    "order": check_order,
    "thread": check_thread,
    "delay": check_each,
}


async def dispatches(relay: Relay) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """All dispatches by rule, in order of arrival."""
    url = f"{relay.url('ops')}/api/events?limit=500"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return by_rule(reversed((await answer.json())["events"]))


async def is_over(relay: Relay) -> bool:
    found = [dispatch["state"] for each in (await dispatches(relay)).values() for dispatch in each]
    return len(found) == EVENTS * len(KINDS) and set(found) <= {"done", "superseded", "suppressed"}


async def check(relay: Relay, cargo: Simulator) -> None:
    """Each key kept its promise: events were sent one after the other, by number."""
    chats = defaultdict[str, list[Mapping[str, Any]]](list)
    for chat in await cargo.chats():
        chats[chat["trigger"]["meta"]["kind"]].append(chat)
    found = await dispatches(relay)
    for place, kind in enumerate(KINDS):
        sent = [100 * place + number for number in range(EVENTS)]
        kept = Kept(sent, lambda number: number % 2, lt, chats[kind], found[kind])
        assert list(CHECKS[kind](kept)) == [], kind


async def send_all(vendor: Vendor) -> None:
    for number in range(EVENTS):
        for place, kind in enumerate(KINDS):
            await vendor.insist(100 * place + number, f"{kind}.changed")


@pytest.mark.parametrize(
    ("database", "point"),
    [*(("sqlite", point) for point in POINTS), *(("postgresql", point) for point in ("close.after", "commit.before"))],
)
async def test_over_a_kill(database: str, point: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    ledger = request.getfixturevalue("postgres_url") if database == "postgresql" else None
    async with simulating() as cargo:
        relay = Relay(tmp_path, cargo=cargo.url, rules=RULES, ledger=ledger)
        await asyncio.to_thread(relay.start, at=(point, COUNTS.get(point, 9)))
        try:
            async with aiohttp.ClientSession() as session:
                vendor = Vendor(session, relay.url("hooks"))
                sending = asyncio.create_task(send_all(vendor))
                await eventually(lambda: not relay.alive(), seconds=60, what=lambda: f"it never came to {point}")
                await asyncio.to_thread(relay.start)
                await sending
            await eventually(lambda: is_over(relay), seconds=90, what=relay.describe)
            await check(relay, cargo)
        finally:
            await asyncio.to_thread(relay.stop)


async def test_over_three_replicas_that_are_killed_at_random(tmp_path: Path, postgres_url: str) -> None:
    """Events come to each in turn, and each goes on with what the others have taken in, claimed and left behind."""
    chance = random.Random()
    async with simulating() as cargo, aiohttp.ClientSession() as session:
        folders = [tmp_path / name for name in ("one", "two", "three")]
        for folder in folders:
            folder.mkdir()
        relays = [Relay(folder, cargo=cargo.url, rules=RULES, ledger=postgres_url) for folder in folders]
        try:
            await asyncio.gather(*(asyncio.to_thread(relay.start) for relay in relays))
            vendor = Vendor(session, *(relay.url("hooks") for relay in relays))
            sending = asyncio.create_task(send_all(vendor))
            for victim in chance.sample(relays, 3):
                await asyncio.sleep(chance.uniform(0.05, 0.5))
                victim.kill()
                await asyncio.to_thread(victim.start)
            await sending
            await eventually(lambda: is_over(relays[0]), seconds=90, what=relays[0].describe)
            await check(relays[0], cargo)
        finally:
            await asyncio.gather(*(asyncio.to_thread(relay.stop) for relay in relays))
