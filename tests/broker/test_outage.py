"""A node of our own is killed, stopped, frozen and starved: both ways come back by themselves, nothing lost."""

import asyncio
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika import DeliveryMode, Message

from relay.app.clock import boottime
from relay.broker import Address, Broker, DeadLetters, ResultPublisher
from relay.consumer import Consumer, Input
from relay.intake import Suspect
from relay.life import Signals, Stop
from relay.model import Due, EventStatus, Receipt, Result, ResultType
from relay.outbox import Publisher
from relay.secret import Secret
from relay.telemetry import Metrics

COUNT = 300


class Ledger:
    """Intake and outbox in memory: what is accepted becomes a result that is due until it is confirmed."""

    def __init__(self):
        self.accepted = []
        self.due_rows = {}
        self.leased = {}
        self.changed = asyncio.Condition()
        self.notify = lambda: None

    async def accept(self, events):
        for event in events:
            self.accepted.append(event.external_id)
            result_id = f"{event.external_id}.1"
            self.due_rows.setdefault(result_id, make_result(result_id))
        await self._tell()
        self.notify()
        return [Receipt(event.id, event.external_id, EventStatus.ACCEPTED, None) for event in events]

    @asynccontextmanager
    async def suspect(self, key):
        """Nobody has died over a message that comes again."""
        yield Suspect(0)

    async def due(self, limit):
        now = asyncio.get_running_loop().time()
        found = [key for key, row in self.due_rows.items() if row and self.leased.get(key, 0) <= now][:limit]
        self.leased |= dict.fromkeys(found, now + 60)
        return [Due(self.due_rows[key], "", 0, 0) for key in found]

    async def settle(self, settled):
        if settled.confirmed:
            self.due_rows[settled.result_id] = None
        else:
            self.leased[settled.result_id] = asyncio.get_running_loop().time() + settled.retry_in / 1_000
        await self._tell()

    async def _tell(self):
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition, within=90):
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(condition)

    def told(self):
        return sum(row is None for row in self.due_rows.values())


def make_result(result_id):
    data = {"receivedAt": "2026-11-23T09:00:00.000Z"}
    return Result(result_id, ResultType.FAILED, "bus", "e", 1, "chat.failed.bus.rule", data)


@asynccontextmanager
async def relaying(url, ledger, timeout=10.0):
    """Everything that speaks AMQP, around an intake and an outbox in memory."""
    broker = Broker(Address(Secret(url)), report=lambda *_: None, timeout=timeout)
    broker.consume()
    shared = {"clock": lambda: 1_795_424_401_000, "metrics": Metrics(), "report": lambda *_: None}
    results = ResultPublisher(broker.publishing, exchange="relay.results", queue="relay.results")
    signals, stop = Signals(), Stop()
    publisher = Publisher(ledger, results, signals, boottime=boottime, **shared)
    dead = DeadLetters(broker.publishing)
    consumer = Consumer(broker.consuming, Input("bus", "in"), ledger, dead, ids=lambda: "e", **shared)
    ledger.notify = signals.results.set
    tasks = [asyncio.create_task(part.run(stop)) for part in (broker, publisher, consumer)]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def fill(url, first, count):
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
        await channel.declare_queue("in", durable=True, arguments=arguments)
        await channel.declare_queue("relay.results", durable=True, arguments={"x-queue-type": "quorum"})
        properties = {"delivery_mode": DeliveryMode.PERSISTENT}
        await asyncio.gather(
            *(
                channel.default_exchange.publish(Message(b"{}", message_id=f"m{number}", **properties), "in")
                for number in range(first, first + count)
            )
        )


async def drain(url):
    """The ids of all results in the queue, and how many messages are left in the input."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue("relay.results")
        found = []
        while (message := await queue.get(fail=False)) is not None:
            await message.ack()
            found.append(message.message_id)
        left = (await channel.declare_queue("in", passive=True)).declaration_result.message_count
    return found, left


async def check(url, ledger, count):
    """Every message was accepted and is gone, every result is in the queue (repeats by id allowed)."""
    await ledger.until(lambda: ledger.told() == count)
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        found, left = await drain(url)
        while left or len(set(found)) < count:
            await asyncio.sleep(0.1)
            more, left = await drain(url)
            found += more
    assert set(ledger.accepted) == {f"m{number}" for number in range(count)}
    assert set(found) == {f"m{number}.1" for number in range(count)}


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_a_node_that_ends_in_the_middle_and_comes_back(private_rabbitmq, end):
    node, ledger = private_rabbitmq, Ledger()
    await fill(node.url, 0, COUNT)
    # RabbitMQ 3.10 writes a new quorum queue's name to disk late; killed before, it comes back with a dead queue.
    await asyncio.to_thread(node.stop)
    await asyncio.to_thread(node.start)
    async with relaying(node.url, ledger):
        await ledger.until(lambda: ledger.told() > 20)
        await asyncio.to_thread(getattr(node, end))
        await asyncio.to_thread(node.start)
        await fill(node.url, COUNT, 50)
        await ledger.until(lambda: ledger.told() == COUNT + 50)
    await check(node.url, ledger, COUNT + 50)


async def test_a_relay_that_starts_before_the_broker(private_rabbitmq):
    node, ledger = private_rabbitmq, Ledger()
    await fill(node.url, 0, 20)
    await asyncio.to_thread(node.stop)
    async with relaying(node.url, ledger):
        await asyncio.to_thread(node.start)
        await ledger.until(lambda: ledger.told() == 20)
    await check(node.url, ledger, 20)


async def test_a_memory_alarm_stops_results_and_not_acknowledgements(private_rabbitmq):
    node, ledger = private_rabbitmq, Ledger()
    await fill(node.url, 0, 60)
    await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.00001")
    async with relaying(node.url, ledger, timeout=2.0):
        await ledger.until(lambda: len(ledger.accepted) >= 60)
        assert ledger.told() == 0
        await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.9")
        await ledger.until(lambda: ledger.told() == 60)
    await check(node.url, ledger, 60)
    assert len(ledger.accepted) == 60


async def test_a_node_that_freezes_is_waited_out(private_rabbitmq):
    node, ledger = private_rabbitmq, Ledger()
    await fill(node.url, 0, 100)
    async with relaying(node.url, ledger, timeout=2.0):
        await ledger.until(lambda: ledger.told() > 10)
        node.freeze()
        try:
            await asyncio.sleep(4)
        finally:
            node.thaw()
        await ledger.until(lambda: ledger.told() == 100)
    await check(node.url, ledger, 100)
