"""Killed with SIGKILL wherever it hurts, a relay started again has one chat and one result for every event it took."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.sandbox import Faults
from tests.e2e.harness import Relay, Told, Vendor, consuming, eventually
from tests.e2e.simulator import Simulator, simulating

EVENTS = 24
POINTS = [
    *(f"{step}.{moment}" for step in ("accept", "claim", "record", "due", "settle") for moment in ("before", "after")),
    *(f"{step}.{moment}" for step in ("create", "say", "publish") for moment in ("before", "after")),
    *(f"{step}.{moment}" for step in ("claims", "results") for moment in ("before", "after")),
    "commit.before",
]
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


async def live_and_die(relay: Relay, hooks: str, point: str, count: int, numbers: range) -> None:
    """Send while the relay runs towards its kill point; start it again when it is dead."""
    await asyncio.to_thread(relay.start, at=(point, count))
    async with aiohttp.ClientSession() as session:
        vendor = Vendor(session, hooks)

        async def send_in_turn() -> None:
            for number in numbers:
                await vendor.insist(number)

        # Work is handed on only while nothing older waits, which events that all come at once may never see.
        in_turn = point.startswith(("claims.", "results."))
        sending = asyncio.gather(*([send_in_turn()] if in_turn else [vendor.insist(number) for number in numbers]))
        await eventually(lambda: not relay.alive(), seconds=60, what=lambda: f"it never came to {point}")
        await asyncio.to_thread(relay.start)
        await sending


@pytest.mark.parametrize("point", POINTS)
async def test_killed_on_sqlite(point: str, tmp_path: Path, amqp_url: str) -> None:
    async with simulating(FAULTS) as simulator, consuming(amqp_url) as told:
        relay = Relay(tmp_path, cargo=simulator.url, amqp=amqp_url, message=True)
        try:
            await live_and_die(relay, relay.url("hooks"), point, 3, range(EVENTS))
            await run_until_told(relay, told, EVENTS)
        finally:
            await asyncio.to_thread(relay.stop)
        await check_promises(simulator, told, range(EVENTS))


@pytest.mark.parametrize("point", POINTS)
async def test_killed_on_postgresql_beside_another_replica(
    point: str, tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """The second replica goes on meanwhile and takes over what the dead one had leased."""
    async with simulating(FAULTS) as simulator, consuming(amqp_url) as told:
        relays = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            relays.append(Relay(folder, cargo=simulator.url, ledger=postgres_url, amqp=amqp_url, message=True))
        one, two = relays
        try:
            await asyncio.to_thread(two.start)
            await live_and_die(one, one.url("hooks"), point, 2, range(EVENTS))
            await run_until_told(one, told, EVENTS)
        finally:
            await asyncio.to_thread(one.stop)
            await asyncio.to_thread(two.stop)
        await check_promises(simulator, told, range(EVENTS))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_killed_twenty_times_at_random(kind: str, tmp_path: Path, amqp_url: str, request: Any) -> None:
    """Under a steady stream of events, each repeated by its sender until it is taken."""
    ledger = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    chance = random.Random(20)
    numbers = range(300)
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
            for _ in range(20):
                await asyncio.sleep(chance.uniform(0.02, 0.6))
                relay.kill()
                await asyncio.to_thread(relay.start)
            await sending
            await run_until_told(relay, told, len(numbers))
        finally:
            await asyncio.to_thread(relay.stop)
        await check_promises(simulator, told, numbers)
