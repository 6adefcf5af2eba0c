"""Replicas that are restarted one after the other under load: no work is parked, and nobody stops sending for it."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from relay.sandbox import Faults
from tests.e2e.harness import Relay, Vendor, consuming, eventually
from tests.e2e.simulator import simulating
from tests.e2e.test_kill import check_promises

EVENTS = 60
NEVER = ("chat.parked", "cargo.paused", "part.failed", "attempt.failed", "chat.duplicated", "lease.ended")


@pytest.mark.parametrize(
    ("latency", "grace"), [(0.6, "5s"), (2.5, "1500ms")], ids=["Cargo answers within the grace", "Cargo is slower"]
)
async def test_a_rolling_restart_parks_nothing_and_pauses_nobody(
    latency: float, grace: str, tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    relays = []
    async with (
        simulating(Faults(latency=latency)) as simulator,
        consuming(amqp_url) as told,
        aiohttp.ClientSession() as session,
    ):
        for name in ("one", "two", "three"):
            folder = tmp_path / name
            folder.mkdir()
            settings = {"cargo": simulator.url, "ledger": postgres_url, "amqp": amqp_url}
            relays.append(Relay(folder, **settings, message=True, timeout="10s", grace=grace))
        queue = list(range(EVENTS))

        async def stream(number: int) -> None:
            """To a replica until it does not answer, then to the next one, as behind a Service."""
            while queue:
                event = queue.pop()
                while True:
                    number += 1
                    try:
                        status, _ = await Vendor(session, relays[number % 3].url("hooks")).post(event)
                    except (aiohttp.ClientError, ConnectionError, TimeoutError):
                        status = 0
                    if status in {200, 202}:
                        break
                await asyncio.sleep(0.2)

        try:
            await asyncio.gather(*(asyncio.to_thread(relay.start) for relay in relays))
            sending = asyncio.gather(*(stream(number) for number in range(4)))
            for relay in relays:
                await asyncio.to_thread(relay.stop)
                await asyncio.to_thread(relay.start)
            await sending
            await eventually(
                lambda: len(told.of("relay.message.sent")) >= EVENTS,
                seconds=90,
                what=lambda: f"{len(told.of('relay.message.sent'))} told; {relays[0].describe()}",
            )
        finally:
            await asyncio.gather(*(asyncio.to_thread(relay.stop) for relay in relays))
        await check_promises(simulator, told, range(EVENTS))
        steps = {step: sum(relay.logged(step) for relay in relays) for step in NEVER}
        assert steps == dict.fromkeys(NEVER, 0)
        if grace == "5s":
            assert sum(relay.logged("chat.unknown") for relay in relays) == 0, "every call had its time"
