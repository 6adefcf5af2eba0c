"""What a rule bounds stays bounded over SIGKILL, and an agent that brings about its own events is stopped."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.schemes import SchemeSpec, build
from relay.secret import Secret
from tests.e2e.harness import SECRET, Relay, Vendor, eventually
from tests.e2e.simulator import simulating
from tests.signing import sign

EVENTS = 12
PARK = "    limit: [{rate: 5/1h, then: park}]\n"
HOLD = "    limit: [{rate: 4/3s}]\n"
POINTS = (
    "accept.after",
    "claim.before",
    "claim.after",
    "claims.before",
    "claims.after",
    "create.after",
    "commit.before",
)
CRM = (
    f'  crm2: {{type: webhook, scheme: standard-webhooks, secret: {SECRET}, event: {{subject: "{{{{ data.id }}}}"}}}}\n'
)


async def states(relay: Relay) -> Counter[str]:
    """How many dispatches are in which state, by the API."""
    async with aiohttp.ClientSession() as session, session.get(f"{relay.url('ops')}/api/events?limit=200") as answer:
        events: list[dict[str, Any]] = (await answer.json())["events"]
    return Counter(dispatch["state"] for event in events for dispatch in event["dispatches"])


async def run_over_a_kill(relay: Relay, point: str, ended: dict[str, int]) -> None:
    """Send while the relay runs towards its kill point, start it again, and wait for these states."""
    await asyncio.to_thread(relay.start, at=(point, 3))
    async with aiohttp.ClientSession() as session:
        vendor = Vendor(session, relay.url("hooks"))

        async def send() -> None:
            for number in range(EVENTS):
                await vendor.insist(number)

        sending = asyncio.create_task(send())
        await eventually(lambda: not relay.alive(), seconds=60, what=lambda: f"it never came to {point}")
        await asyncio.to_thread(relay.start)
        await sending

    async def is_over() -> bool:
        return await states(relay) == ended

    await eventually(is_over, seconds=90, what=relay.describe)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_between_commits_no_more_start_than_the_limit(point: str, tmp_path: Path) -> None:
    async with simulating() as cargo:
        relay = Relay(tmp_path, cargo=cargo.url, rules=PARK)
        try:
            await run_over_a_kill(relay, point, {"done": 5, "parked": EVENTS - 5})
        finally:
            await asyncio.to_thread(relay.stop)
        assert len(await cargo.chats()) == 5


async def test_what_waits_for_a_limit_goes_when_there_is_room_also_after_a_kill(tmp_path: Path) -> None:
    async with simulating() as cargo:
        relay = Relay(tmp_path, cargo=cargo.url, rules=HOLD)
        try:
            await run_over_a_kill(relay, "claims.after", {"done": EVENTS})
        finally:
            await asyncio.to_thread(relay.stop)
        assert len(await cargo.chats()) == EVENTS


async def test_credits_that_cargo_tells_of_bound_what_starts(tmp_path: Path) -> None:
    async with simulating() as cargo, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=cargo.url, message=True, rules="    budget: {credits: 1/mo, then: park}\n")
        await asyncio.to_thread(relay.start)
        try:
            vendor = Vendor(session, relay.url("hooks"))
            await vendor.insist(0)
            await eventually(lambda: relay.logged("budget.spent") == 1, seconds=90, what=relay.describe)
            await vendor.insist(1)

            async def is_parked() -> bool:
                return await states(relay) == {"done": 1, "parked": 1}

            await eventually(is_parked, seconds=20, what=relay.describe)
        finally:
            await asyncio.to_thread(relay.stop)
        assert len(await cargo.chats()) == 1


async def test_an_agent_that_brings_about_its_own_events_is_stopped(tmp_path: Path) -> None:
    """No key of the rule says so: the loop guard of every rule parks what is past 20 of one subject."""
    scheme = build(SchemeSpec("standard-webhooks", (Secret(SECRET),)))
    async with simulating() as cargo, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=cargo.url, sources=CRM)
        await asyncio.to_thread(relay.start)

        async def write(change: int) -> None:
            """The CRM tells that the agent has changed its contact once more."""
            body = json.dumps({"type": "deal.changed", "id": "contact-1", "change": change}).encode()
            headers = sign(scheme, body, now=time.time_ns() // 1_000_000, id=f"msg_{change}")
            url = f"{relay.url('hooks')}/hooks/crm2"
            async with session.post(url, data=body, headers={"content-type": "application/json", **headers}) as answer:
                assert answer.status == 202

        async def is_answered(change: int) -> bool:
            return sum((await states(relay)).values()) > change and not (await states(relay))["sending"]

        try:
            for change in range(24):
                await write(change)
                await eventually(lambda: is_answered(change), seconds=20, what=relay.describe)  # noqa: B023 - awaited here
            assert await states(relay) == {"done": 20, "parked": 4}
            assert relay.logged("chat.parked") == 4
        finally:
            await asyncio.to_thread(relay.stop)
        assert len(await cargo.chats()) == 20
