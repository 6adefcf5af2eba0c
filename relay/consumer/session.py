"""One channel that consumes one queue: messages to a handler, answers back, until something ends it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import aiormq.abc
from aio_pika.abc import AbstractChannel

from relay.broker import BrokerFault, Delivery, Link, ask
from relay.consumer.acks import Acks
from relay.telemetry import get_log

log = get_log()

Handle = Callable[[Delivery], Awaitable[bool]]

_GRACE: Final = 10.0


class Session:
    """`handle` says of each message whether it is settled (it is acknowledged) or must come again (requeued).

    `over` is set when no more messages come: the channel or connection was closed, the broker cancelled the consumer
    (its queue was deleted), the handler raised (`crash`), or `stop()` was called. Answers are gathered: those that
    fall due in one turn of the event loop go out together. `timeout` bounds each call, in seconds.
    """

    def __init__(
        self, channel: AbstractChannel, protocol: aiormq.abc.AbstractChannel, handle: Handle, *, timeout: float
    ) -> None:
        self.over = asyncio.Event()
        self.why = ""
        self.crash: BaseException | None = None
        self._channel = channel
        self._protocol = protocol
        self._handle = handle
        self._timeout = timeout
        self._acks = Acks()
        self._kick = asyncio.Event()
        self._tag: str | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._answering = asyncio.create_task(self._answer())
        channel.close_callbacks.add(lambda *_: self.stop("the channel was closed"))
        protocol.on_consumer_cancel_callbacks.add(self._cancelled)

    @classmethod
    async def open(cls, link: Link, handle: Handle) -> "Session":
        """A session on a channel of its own. Raises BrokerFault."""
        channel = await link.channel()
        return cls(channel, await channel.get_underlay_channel(), handle, timeout=link.timeout)

    async def probe(self, queue: str) -> None:
        """Handle one message, if there is one. Raises BrokerFault."""
        message = await ask(self._protocol.basic_get(queue), self._timeout)
        delivery = _read(message)
        if delivery.tag:
            self._start(delivery)
            await self._finish()

    async def consume(self, queue: str, prefetch: int) -> None:
        """Let messages come. Raises BrokerFault."""
        await ask(self._protocol.basic_qos(prefetch_count=prefetch), self._timeout)
        answer = await ask(self._protocol.basic_consume(queue, self._receive), self._timeout)
        self._tag = answer.consumer_tag

    def stop(self, why: str) -> None:
        """No more messages; what is under way may finish."""
        if not self.over.is_set():
            self.why = why
            self.over.set()

    async def close(self) -> None:
        """Cancel the consumer, finish what is under way, answer, close: what is unsettled then comes again."""
        self.stop("closed")
        try:
            if self._tag is not None and not self._protocol.is_closed:
                await ask(self._protocol.basic_cancel(self._tag), self._timeout)
            await self._finish()
            await self._send()
        except BrokerFault as fault:
            log.debug("session.lost", error=str(fault))
        finally:
            await self._abandon()

    async def _receive(self, message: aiormq.abc.DeliveredMessage) -> None:
        # What still comes after the end is left unsettled, and so comes again.
        if not self.over.is_set():
            self._start(_read(message))

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._work(delivery))
        self._under_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crash = self.crash or error
            self.stop(f"{type(error).__name__}: {error}")

    async def _work(self, delivery: Delivery) -> None:
        if await self._handle(delivery):
            self._acks.done(delivery.tag)
            self._kick.set()
        elif not self._protocol.is_closed:
            self._acks.refused(delivery.tag)
            await ask(self._protocol.basic_nack(delivery.tag, requeue=True, wait=False), self._timeout)

    async def _answer(self) -> None:
        while True:
            await self._kick.wait()
            self._kick.clear()
            try:
                await self._send()
            except BrokerFault as fault:
                self.stop(str(fault))

    async def _send(self) -> None:
        for tag, multiple in self._acks.take():
            await ask(self._protocol.basic_ack(tag, multiple=multiple, wait=False), self._timeout)

    def _cancelled(self, _: object) -> None:
        self.stop("the broker cancelled the consumer: its queue was deleted, or its node went away")

    async def _finish(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_GRACE)

    async def _abandon(self) -> None:
        left = [*self._under_way, self._answering]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        try:
            if not self._channel.is_closed:
                await ask(self._channel.close(), self._timeout)
        except BrokerFault as fault:
            log.debug("session.lost", error=str(fault))


def _read(message: aiormq.abc.DeliveredMessage) -> Delivery:
    properties = message.header.properties
    stamp = properties.timestamp
    return Delivery(
        tag=message.delivery_tag or 0,
        body=message.body,
        routing_key=message.routing_key or "",
        redelivered=bool(message.redelivered),
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        message_id=properties.message_id,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        type=properties.message_type,
        app_id=properties.app_id,
        timestamp=None if stamp is None else round(stamp.timestamp() * 1_000),
        headers=properties.headers or {},
    )
