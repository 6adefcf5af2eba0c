"""A message over which the process dies is dead after the fifth time; what was delivered beside it is not."""

import asyncio
from pathlib import Path

import aio_pika

from tests.consumer.stage import get, looking, put
from tests.e2e.harness import Relay, eventually
from tests.e2e.simulator import simulating

GOOD = [f"good-{number}" for number in range(8)]


async def test_a_message_that_ends_the_process_five_times_is_dead(tmp_path: Path, amqp_url: str) -> None:
    async with simulating() as simulator:
        relay = Relay(tmp_path, cargo=simulator.url, amqp=amqp_url, queue="in")
        try:
            async with looking(amqp_url) as channel:
                await channel.declare_queue("in", durable=True, arguments={"x-queue-type": "quorum"})
                await put(channel, "bad", body=b'{"id": "deadly"}', type="deal.won")
                for name in GOOD:
                    await put(channel, name, body=b'{"id": "%s"}' % name.encode(), type="deal.won")
            for number in range(5):
                await asyncio.to_thread(relay.start, at=("deadly.message", 1))
                await eventually(
                    lambda: not relay.alive(),
                    seconds=60,
                    what=lambda at=number: f"alive after {at}: {relay.describe()}",
                )
            await asyncio.to_thread(relay.start, at=("deadly.message", 1))
            letter: aio_pika.IncomingMessage = await get(amqp_url, "relay.dead", within=60)
            assert letter.message_id == "bad"
            assert letter.headers["relay-reason"] == "deadly"
            assert "five times" in str(letter.headers["relay-error"])

            async def made() -> set[str]:
                return {chat["trigger"]["meta"]["id"] for chat in await simulator.chats()}

            async with asyncio.timeout(60):
                while await made() != set(GOOD):
                    await asyncio.sleep(0.05)
            assert relay.alive()
            async with looking(amqp_url) as channel:
                dead = await channel.declare_queue("relay.dead", passive=True)
                assert dead.declaration_result.message_count == 0, "nothing but the one is dead"
        finally:
            await asyncio.to_thread(relay.stop)
