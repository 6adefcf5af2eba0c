"""The consumer of the result queue, over brokers that go and come back."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika

from tests.faults.amqp import connect

ENDS = {f"relay.chat.{word}" for word in ("created", "failed", "parked")}
SAID = "relay.message.sent"


class Results:
    """What was told: `ends` are the dispatches whose chat or end was told, `when` has the first time by external id.

    `said` has the chat of each dispatch whose message was told, `by` the one that goes in place of each other.
    """

    def __init__(self, amqp: str) -> None:
        self.ends: set[str] = set()
        self.when: dict[str, float] = {}
        self.said: dict[str, str] = {}
        self.by: dict[str, str] = {}
        self.contradictions: list[str] = []
        self._bodies: dict[str, bytes] = {}
        self._amqp = amqp

    def add(self, event: dict[str, Any], body: bytes) -> None:
        if self._bodies.setdefault(event["id"], body) != body:
            self.contradictions.append(f"result {event['id']} was told twice, with different contents")
        if event["type"] in ENDS:
            self.ends.add(event["data"]["dispatchId"])
            self.when.setdefault(event["data"]["externalId"], time.monotonic())
        if event["type"] == SAID:
            self.said[event["data"]["dispatchId"]] = event["data"]["chatUuid"]
        if cause := event["data"].get("by", {}).get("dispatchId"):
            self.by[event["data"]["dispatchId"]] = cause

    @property
    def told(self) -> set[str]:
        """The dispatches whose chat, end or message was told: a follow-up in a thread has no chat of its own."""
        return {*self.ends, *self.said}

    async def run(self) -> None:
        """Consume, and connect again whenever the connection is lost, until cancelled."""
        while True:
            with contextlib.suppress(Exception):
                await self._consume()
            await asyncio.sleep(0.2)

    async def _consume(self) -> None:
        connection = await connect(self._amqp)
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(200)
            exchange = await channel.declare_exchange("relay.results", aio_pika.ExchangeType.TOPIC, durable=True)
            queue = await channel.declare_queue("relay.results", durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(exchange, "#")
            await queue.consume(self._take)
            lost = asyncio.Event()
            connection.close_callbacks.add(lambda *_: lost.set())
            channel.close_callbacks.add(lambda *_: lost.set())
            await lost.wait()

    async def _take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.add(json.loads(message.body), message.body)
        with contextlib.suppress(Exception):  # not acknowledged, it comes again
            await message.ack()


@asynccontextmanager
async def consuming(amqp: str) -> AsyncIterator[Results]:
    results = Results(amqp)
    task = asyncio.create_task(results.run())
    try:
        yield results
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
