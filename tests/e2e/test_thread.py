"""One chat per key on the whole way: what customers add goes on in it, once, whatever Cargo answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from relay.sandbox import Faults
from tests.e2e.harness import Relay, Told, Vendor, consuming, eventually
from tests.e2e.promises import said
from tests.e2e.simulator import Simulator, simulating

THREAD = '    thread: {key: "{{ data.id // 100 }}", idle: 1h}\n    message: "begin {{ data.id }}"\n    follow: "add"\n'
EVENTS = 5


@asynccontextmanager
async def relaying(folder: Path, cargo: Simulator, amqp_url: str) -> AsyncIterator[tuple[Relay, Vendor, Told]]:
    relay = Relay(folder, cargo=cargo.url, amqp=amqp_url, rules=THREAD)
    async with consuming(amqp_url) as told, aiohttp.ClientSession() as session:
        await asyncio.to_thread(relay.start)
        try:
            yield relay, Vendor(session, relay.url("hooks")), told
        finally:
            await asyncio.to_thread(relay.stop)


async def all_said(cargo: Simulator) -> list[list[str]]:
    return [said(chat) for chat in await cargo.chats()]


async def test_follow_ups_wait_until_the_agent_has_answered(tmp_path: Path, amqp_url: str) -> None:
    async with simulating(generating=0.3) as cargo, relaying(tmp_path, cargo, amqp_url) as (relay, vendor, told):
        for number in range(EVENTS):
            await vendor.insist(number)
        await eventually(lambda: len(told.of("relay.message.sent")) == EVENTS, seconds=60, what=relay.describe)
        assert await all_said(cargo) == [["begin 0", *["add"] * (EVENTS - 1)]]
        assert len(told.of("relay.chat.created")) == 1
        (chat,) = await cargo.chats()
        assert {result["data"]["chatUuid"] for result in told.of("relay.message.sent")} == {chat["uuid"]}


@pytest.mark.parametrize("fault", ["lost", "error_after", "reset_before", "hang_after", "empty", "throttled"])
async def test_each_is_said_once_although_answers_are_lost(fault: str, tmp_path: Path, amqp_url: str) -> None:
    """All say the same text, so that only the attempt and what others have said tell them apart."""
    async with simulating() as cargo, relaying(tmp_path, cargo, amqp_url) as (relay, vendor, told):
        await vendor.insist(0)
        await eventually(lambda: len(told.of("relay.message.sent")) == 1, seconds=30, what=relay.describe)
        await cargo.set_faults(Faults(on="messages", script=(fault, "ok", fault)))
        for number in range(1, EVENTS):
            await vendor.insist(number)
        await eventually(lambda: len(told.of("relay.message.sent")) == EVENTS, seconds=60, what=relay.describe)
        assert await all_said(cargo) == [["begin 0", *["add"] * (EVENTS - 1)]]


async def test_a_chat_that_was_deleted_is_made_anew(tmp_path: Path, amqp_url: str) -> None:
    async with simulating() as cargo, relaying(tmp_path, cargo, amqp_url) as (relay, vendor, told):
        await vendor.insist(0)
        await eventually(lambda: len(told.of("relay.message.sent")) == 1, seconds=30, what=relay.describe)
        async with cargo.session.delete("/_chats") as answer:
            assert answer.status < 300
        for number in (1, 2):
            await vendor.insist(number)
        await eventually(lambda: len(told.of("relay.message.sent")) == 3, seconds=30, what=relay.describe)
        assert await all_said(cargo) == [["begin 1", "add"]]
        assert relay.logged("message.displaced") == 1
