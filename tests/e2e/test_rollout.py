"""Two replicas behind a balancer are replaced one after the other: no sender sees anything but 2xx, nothing is lost."""

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.harness import Relay, Vendor, eventually
from tests.e2e.simulator import simulating
from tests.services.haproxy import balancing

PERIOD = 0.02
"""Seconds between two requests: 50 a second."""
ENDS = ("chat.created", "chat.reconciled")


@pytest.mark.parametrize("mode", ["tcp", "http"])
async def test_a_rollout_shows_senders_nothing(mode: str, tmp_path: Path, postgres_url: str) -> None:
    relays = {}
    async with simulating() as simulator, aiohttp.ClientSession() as session:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            relays[name] = Relay(tmp_path / name, cargo=simulator.url, ledger=postgres_url, linger="4s")
        await asyncio.gather(*(asyncio.to_thread(relay.start) for relay in relays.values()))
        outcomes: Counter[str] = Counter()
        done = asyncio.Event()

        async def post(vendor: Vendor, number: int) -> None:
            try:
                status, _ = await vendor.post(number)
                outcomes[str(status)] += 1
            except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                outcomes[repr(error)] += 1

        async def stream(vendor: Vendor) -> int:
            """Each event is sent once: what fails is not sent again."""
            number = 0
            async with asyncio.TaskGroup() as group:
                while not done.is_set():
                    group.create_task(post(vendor, number))
                    number += 1
                    await asyncio.sleep(PERIOD)
            return number

        try:
            with balancing(tmp_path, mode, {name: relay.ports for name, relay in relays.items()}) as balancer:
                sending = asyncio.create_task(stream(Vendor(session, balancer.url)))
                for name, relay in relays.items():
                    await asyncio.to_thread(relay.stop)
                    await asyncio.to_thread(relay.start)
                    # As minReadySeconds of the Deployment: the next one ends only when this one is sent requests.
                    await eventually(partial(balancer.is_up, name), seconds=30, what=relay.describe)
                done.set()
                count = await sending
            assert outcomes == {"202": count}
            assert count > 100, "both were replaced while events came"
            # A call that outlasts the grace is cut, and its chat is found afterwards.
            await eventually(
                lambda: sum(relay.logged(step) for relay in relays.values() for step in ENDS) == count,
                seconds=60,
                what=lambda: f"{count} events, {[relay.describe() for relay in relays.values()]}",
            )
            assert len(await simulator.chats()) == count
        finally:
            await asyncio.gather(*(asyncio.to_thread(relay.stop) for relay in relays.values()))
    assert sum(relay.logged("event.accepted") for relay in relays.values()) == count
