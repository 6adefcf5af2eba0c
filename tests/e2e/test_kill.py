"""Killed with SIGKILL wherever it hurts, a relay started again has one chat and one result for every event it took."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.sandbox import Faults
from tests.e2e.harness import Relay, Told, Vendor, consuming, eventually
from tests.e2e.simulator import Simulator, simulating

EVENTS = 24
"""Sent in each life."""
STEPS = [
    *("accept", "claim", "record", "due", "settle"),
    *("create", "say", "publish"),
    *("claims", "results"),
]
POINTS = [*((f"{step}.before", f"{step}.after") for step in STEPS), ("commit.before",)]
"""Each life of a relay ends at the next of them."""
FAULTS = Faults(lost=0.15, reset_before=0.05, reset_after=0.1, error_after=0.05, on="both", seed=7)


async def check_promises(simulator: Simulator, told: Told, numbers: range) -> None:
    """One chat per event, one created result and one message result, and they speak of the same chat."""
    made = await simulator.chats()
    chats = Counter(chat["trigger"]["meta"]["id"] for chat in made)
    assert chats == Counter(numbers), f"chats per event: {chats}"
    uuids = {chat["uuid"] for chat in made}
    created = told.of("relay.chat.created")
    assert len(created) == len(numbers)
    assert {event["data"]["chatUuid"] for event in created} == uuids
    assert {event["data"]["chatUuid"] for event in told.of("relay.message.sent")} == uuids
    said = [sum(message["type"] == "user" for message in chat["messages"]) for chat in made]
    assert said == [1] * len(made), "the first message is said once in every chat"


async def run_until_told(relay: Relay, told: Told, count: int) -> None:
    def missing() -> str:
        have = Counter(event["type"] for event in told.results.values())
        return f"told {have} of {count}; {relay.describe()}"

    await eventually(
        lambda: len(told.of("relay.chat.created")) >= count and len(told.of("relay.message.sent")) >= count,
        seconds=90,
        what=missing,
    )


async def live_and_die(relay: Relay, hooks: str, points: Sequence[str], count: int, numbers: range) -> None:
    """Send while the relay runs towards its next kill point; start it again when it is dead."""
    # Work is handed on only while nothing older waits, which events that all come at once may never see.
    in_turn = points[0].startswith(("claims.", "results."))
    async with aiohttp.ClientSession() as session:
        vendor = Vendor(session, hooks)

        async def send_in_turn() -> None:
            for number in numbers:
                await vendor.insist(number)

        sending = [asyncio.create_task(send_in_turn())] if in_turn else []
        for life, point in enumerate(points):
            await asyncio.to_thread(relay.start, at=(point, count))
            if not in_turn:
                sending += [asyncio.create_task(vendor.insist(number)) for number in numbers[life :: len(points)]]
            await eventually(
                lambda: not relay.alive(), seconds=60, what=lambda point=point: f"it never came to {point}"
            )
        await asyncio.to_thread(relay.start)
        await asyncio.gather(*sending)


@pytest.mark.parametrize("points", POINTS, ids=" ".join)
async def test_killed_on_sqlite(points: Sequence[str], tmp_path: Path, amqp_url: str) -> None:
    numbers = range(EVENTS * len(points))
    async with simulating(FAULTS) as simulator, consuming(amqp_url) as told:
        relay = Relay(tmp_path, cargo=simulator.url, amqp=amqp_url, message=True)
        try:
            await live_and_die(relay, relay.url("hooks"), points, 3, numbers)
            await run_until_told(relay, told, len(numbers))
        finally:
            await asyncio.to_thread(relay.stop)
        await check_promises(simulator, told, numbers)


@pytest.mark.parametrize("points", POINTS, ids=" ".join)
async def test_killed_on_postgresql_beside_another_replica(
    points: Sequence[str], tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """The second replica goes on meanwhile and takes over what the dead one had leased."""
    numbers = range(EVENTS * len(points))
    async with simulating(FAULTS) as simulator, consuming(amqp_url) as told:
        relays = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            relays.append(Relay(folder, cargo=simulator.url, ledger=postgres_url, amqp=amqp_url, message=True))
        one, two = relays
        try:
            await asyncio.to_thread(two.start)
            await live_and_die(one, one.url("hooks"), points, 2, numbers)
            await run_until_told(one, told, len(numbers))
        finally:
            await asyncio.to_thread(one.stop)
            await asyncio.to_thread(two.stop)
        await check_promises(simulator, told, numbers)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_killed_ten_times_at_random(kind: str, tmp_path: Path, amqp_url: str, request: Any) -> None:
    """Under a steady stream of events, each repeated by its sender until it is taken."""
    ledger = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    chance = random.Random(20)
    numbers = range(150)
    async with simulating(FAULTS) as simulator, consuming(amqp_url) as told, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=simulator.url, ledger=ledger, amqp=amqp_url, message=True)
        await asyncio.to_thread(relay.start)
        vendor = Vendor(session, relay.url("hooks"))
        queue = list(numbers)

        async def stream() -> None:
            while queue:
                await vendor.insist(queue.pop())
                await asyncio.sleep(0.05)

        sending = asyncio.gather(*(stream() for _ in range(4)))
        try:
            for _ in range(10):
                await asyncio.sleep(chance.uniform(0.02, 0.6))
                relay.kill()
                await asyncio.to_thread(relay.start)
            await sending
            await run_until_told(relay, told, len(numbers))
        finally:
            await asyncio.to_thread(relay.stop)
        await check_promises(simulator, told, numbers)
