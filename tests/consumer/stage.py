"""A consumer on a real RabbitMQ, with an intake whose troubles a test chooses, and what looks at its queues."""

import asyncio
from contextlib import asynccontextmanager, suppress
from itertools import count

import aio_pika
from aio_pika import DeliveryMode, Message

from relay.broker import Address, Broker, DeadLetters
from relay.consumer import Consumer, Input
from relay.intake import Suspect
from relay.life import Stop
from relay.model import EventStatus, Receipt
from relay.secret import Secret
from relay.telemetry import Metrics


class Intake:
    """Keeps what it accepts; `trouble` gives an error to raise for an event, or None; `away` is what `ready` raises."""

    def __init__(self, trouble=lambda event: None):
        self.trouble = trouble
        self.away = None
        self.asked = 0
        self.places = 0
        self.tried = []
        self.events = []
        self.suspects = []
        self.forgotten = []
        self.letters = {}
        self.deaths = 0
        self.open = asyncio.Event()
        self.open.set()
        self.changed = asyncio.Condition()

    async def accept(self, events):
        await self.open.wait()
        self.tried.append(events[0].external_id)
        error = self.trouble(events[0])
        if error is not None:
            raise error
        self.events += events
        async with self.changed:
            self.changed.notify_all()
        return [Receipt(event.id, event.external_id, EventStatus.ACCEPTED, event.type) for event in events]

    async def ready(self):
        await self.open.wait()
        self.asked += 1
        if self.away is not None:
            raise self.away

    @asynccontextmanager
    async def suspect(self, key):
        """Counts the deaths of which a test tells."""
        suspect = Suspect(self.deaths)
        self.suspects.append((key, suspect))
        yield suspect

    async def forget(self, key):
        self.forgotten.append(key)

    async def note_dead(self, letter):
        if self.away is not None:
            raise self.away
        self.letters[letter.id] = letter

    async def drop_dead(self, letter_id):
        self.letters.pop(letter_id, None)

    async def has(self, *ids, within=30):
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(lambda: set(ids) <= {event.external_id for event in self.events})


class Told:
    """What a part reported of itself."""

    def __init__(self):
        self.states = []
        self.changed = asyncio.Event()

    def __call__(self, state, reason):
        self.states.append((state, reason))
        self.changed.set()

    async def of(self, state, text=""):
        async with asyncio.timeout(30):
            while not any(one is state and text in reason for one, reason in self.states):
                self.changed.clear()
                await self.changed.wait()


async def nap(seconds):
    """Back-off without its length; the order of things stays."""
    await asyncio.sleep(min(seconds, 0.05))


@asynccontextmanager
async def connected(url, timeout=10.0):
    broker = Broker(Address(Secret(url)), report=lambda *_: None, timeout=timeout)
    broker.consume()
    task = asyncio.create_task(broker.run(Stop()))
    try:
        async with asyncio.timeout(20):
            await broker.publishing.ready()
            await broker.consuming.ready()
        yield broker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def consuming(broker, intake, source=None, **changes):
    numbers = count()
    consumer = Consumer(
        broker.consuming,
        source or Input("bus", "in"),
        intake,
        DeadLetters(broker.publishing),
        ids=lambda: f"e{next(numbers)}",
        clock=lambda: 1_764_000_000_000,
        metrics=changes.pop("metrics", None) or Metrics(),
        report=changes.pop("report", None) or (lambda *_: None),
        sleep=nap,
        **changes,
    )
    consumer.stop = Stop()
    task = asyncio.create_task(consumer.run(consumer.stop))
    try:
        yield consumer
    finally:
        consumer.stop.begin(20)
        async with asyncio.timeout(20):
            await task


@asynccontextmanager
async def looking(url):
    connection = await aio_pika.connect(url)
    try:
        yield await connection.channel()
    finally:
        with suppress(aio_pika.exceptions.AMQPError, RuntimeError):
            await connection.close()


async def put(channel, *ids, queue="in", body=b'{"a": 1}', **properties):
    for one in ids:
        message = Message(body, message_id=one, delivery_mode=DeliveryMode.PERSISTENT, **properties)
        await channel.default_exchange.publish(message, queue)


async def depth(channel, queue):
    """Messages ready in a queue; those delivered and not acknowledged do not count."""
    return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count


async def settled(url, queue, ready=0):
    """Wait until nothing is unacknowledged: with nobody consuming any more, what is there is ready."""
    async with looking(url) as channel, asyncio.timeout(10):
        while await depth(channel, queue) != ready:
            await asyncio.sleep(0.05)


async def get(url, queue, within=20):
    """A message, once there is one. A quorum queue that is just made may end the connection of who looks too early."""
    async with asyncio.timeout(within):
        while True:
            async with looking(url) as channel:
                with suppress(aio_pika.exceptions.AMQPError, aio_pika.exceptions.QueueEmpty):
                    message = await (await channel.get_queue(queue)).get()
                    await message.ack()
                    return message
            await asyncio.sleep(0.05)
