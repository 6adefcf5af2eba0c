"""Queues that come and go by a reload, on a real RabbitMQ."""

import asyncio
import json
from contextlib import asynccontextmanager

import aio_pika
import pytest

from tests.app.reloading import configure, living

RULE = {"name": "all", "chat": {"name": "{{ data.id }}", "trigger": {"type": "draft"}}}


@pytest.fixture
def file(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder / "relay.yaml"


@pytest.fixture
def settings(tmp_path, amqp_url):
    def make(*queues, **keys):
        sources = {name: {"type": "amqp", "queue": name, **keys} for name in queues}
        return configure(tmp_path, broker={"url": amqp_url}, sources=sources, rules=[RULE])

    return make


class Bus:
    def __init__(self, channel):
        self.channel = channel

    async def publish(self, queue, *numbers):
        for number in numbers:
            message = aio_pika.Message(json.dumps({"id": number}).encode(), message_id=f"m-{number}", type="deal.won")
            await self.channel.default_exchange.publish(message, queue)

    async def left(self, queue):
        """The numbers that still wait in the queue."""
        found = await self.channel.get_queue(queue, ensure=True)
        numbers = []
        while message := await found.get(fail=False, no_ack=True):
            numbers.append(json.loads(message.body)["id"])
        return numbers

    async def until_left(self, queue):
        """Wait until nobody consumes; a quorum queue tells of it a moment after the answer to the one who leaves."""
        async with asyncio.timeout(20):
            while await self.consumers(queue):
                await asyncio.sleep(0.05)

    async def consumers(self, queue):
        return (await self.channel.declare_queue(queue, passive=True)).declaration_result.consumer_count


@asynccontextmanager
async def bus(url):
    async with await aio_pika.connect(url) as connection:
        yield Bus(await connection.channel())


async def accepted(live):
    _, page = await live.ask("GET", "/api/events?limit=200")
    return sorted(int(event["externalId"].removeprefix("m-")) for event in page["events"])


async def test_a_new_queue_is_consumed_also_when_it_is_the_first(file, settings, amqp_url):
    async with living(file, settings()) as live, bus(amqp_url) as rabbit:
        live.write(settings("first", "second"))
        await live.until_logged("source.consuming", 2)
        await rabbit.publish("first", 1)
        await rabbit.publish("second", 2)
        await live.until_logged("event.accepted", 2)
        assert await accepted(live) == [1, 2]


async def test_a_removed_queue_is_left_and_each_message_is_either_taken_or_still_there(file, settings, amqp_url):
    async with living(file, settings("first", "second", prefetch=10)) as live, bus(amqp_url) as rabbit:
        await live.until_logged("source.consuming", 2)
        await rabbit.publish("first", *range(100))
        live.write(settings("second", prefetch=10))
        await live.until_logged("source.stopped")
        await rabbit.until_left("first")

        async def is_gone():
            return "source first" not in await live.health("/readyz?verbose")

        await live.until(is_gone, "the source is still a part")  # until what it had prefetched is finished
        await rabbit.publish("first", 100)
        await rabbit.publish("second", 200)
        await live.until(lambda: any(line.get("source") == "second" for line in live.logged("event.accepted")))
        taken, left = set(await accepted(live)), await rabbit.left("first")
        assert taken.isdisjoint(left)
        assert taken | set(left) == {*range(101), 200}
        assert 100 in left


async def test_a_queue_that_is_changed_goes_on_under_its_new_keys(file, settings, amqp_url):
    async with living(file, settings("first", prefetch=10)) as live, bus(amqp_url) as rabbit:
        await live.until_logged("source.consuming")
        live.write(settings("first", prefetch=20))
        await live.until_logged("source.stopped")
        await live.until_logged("source.consuming", 2)
        await rabbit.publish("first", 1)
        await live.until_logged("event.accepted")
        assert await rabbit.consumers("first") == 1


async def test_a_paused_queue_stays_paused_over_a_change_of_it(file, settings, amqp_url):
    async with living(file, settings("first", prefetch=10)) as live, bus(amqp_url) as rabbit:
        await live.until_logged("source.consuming")
        assert (await live.ask("POST", "/api/sources/first/pause"))[0] == 200
        await live.until_logged("source.stopped")
        live.write(settings("first", prefetch=20))
        await live.until_logged("config.reloaded")
        await rabbit.publish("first", 1)
        assert await accepted(live) == []
        assert (await live.ask("POST", "/api/sources/first/resume"))[0] == 200
        await live.until_logged("event.accepted")
        assert await accepted(live) == [1]
