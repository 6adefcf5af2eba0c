"""A replay goes on over SIGKILL: every event has one chat, and what the job tells is what was made."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from relay.sandbox import Faults
from tests.e2e.harness import Relay, Vendor, eventually
from tests.e2e.simulator import simulating

EVENTS = 24
NOTE = """
  - name: note
    type: note
    chat:
      trigger: {type: connector, connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f, meta: {id: "{{ data.id }}"}}
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_replay_makes_each_chat_once_over_kills(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ledger = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    async with simulating(Faults(lost=0.1, on="both", seed=3)) as simulator, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=simulator.url, ledger=ledger)

        async def ask() -> dict:
            async with session.get(f"{relay.url('ops')}/api/jobs") as answer:
                [job] = (await answer.json())["jobs"]
                return job

        async def has_done(count: int) -> bool:
            return (await ask())["done"] >= count

        try:
            await asyncio.to_thread(relay.start)
            vendor = Vendor(session, relay.url("hooks"))
            await asyncio.gather(*(vendor.insist(number, "note") for number in range(EVENTS)))
            relay.config.write_text(relay.config.read_text() + NOTE)
            assert (await relay.run("reload"))[0] == 0
            code, out, _ = await relay.run("replay", "--since", "1h", "--rate", "20/s", "--detach", "--json")
            assert (code, json.loads(out)["total"]) == (0, EVENTS)
            for count in (5, 12):
                await eventually(lambda count=count: has_done(count), seconds=60, what=relay.describe)
                relay.kill()
                await asyncio.to_thread(relay.start)
            await eventually(lambda: has_done(EVENTS), seconds=60, what=relay.describe)

            async def is_over() -> bool:
                return (await ask())["state"] == "done" and len(await simulator.chats()) >= EVENTS

            await eventually(is_over, seconds=60, what=relay.describe)
            job = await ask()
            assert (job["made"], job["failed"], job["rules"]) == (EVENTS, 0, {"note": EVENTS})
            code, out, _ = await relay.run("replay", "--since", "1h", "--json")
            assert (code, json.loads(out)["made"], json.loads(out)["skipped"]) == (0, 0, EVENTS)
            code, _, err = await relay.run("replay", "--since", "1h", "--source", "helpdeks")
            assert (code, 'there is no source "helpdeks"' in err) == (1, True), err
        finally:
            await asyncio.to_thread(relay.stop)
        chats = Counter(chat["trigger"]["meta"]["id"] for chat in await simulator.chats())
        assert chats == Counter(range(EVENTS))
