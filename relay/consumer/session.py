"""One channel that consumes one queue: messages to a handler, answers back, until something ends it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final
from uuid import uuid4

import aiormq.abc
from aio_pika.abc import AbstractChannel

from relay.broker import BrokerFault, Delivery, Link, ask, restored, split_dropped
from relay.consumer.acks import Acks
from relay.telemetry import get_log

log = get_log()

Handle = Callable[[Delivery], Awaitable[bool]]

_GRACE: Final = 10.0


class Session:
    """`handle` says of each message whether it is settled: it is acknowledged. Else it is held, unacknowledged.

    `stopped` is set when no more messages are wanted (`stop()`), `over` when none can come, nor be answered: the
    channel or connection was closed, the broker cancelled the consumer (its queue was deleted), or the handler raised
    (`crash`). What comes after `stop(hold=True)` is held as it is. Answers are gathered: those that fall due in one
    turn of the event loop go out together. `timeout` bounds each call, in seconds.
    """

    def __init__(
        self, channel: AbstractChannel, protocol: aiormq.abc.AbstractChannel, handle: Handle, *, timeout: float
    ) -> None:
        self.stopped = asyncio.Event()
        self.over = asyncio.Event()
        self.why = ""
        self.crash: BaseException | None = None
        self._channel = channel
        self._protocol = protocol
        self._handle = handle
        self._timeout = timeout
        self._name = uuid4().hex
        self._acks = Acks()
        self._kick = asyncio.Event()
        self._tag: str | None = None
        self._held: dict[int, Delivery] = {}
        self._holding = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._answering = asyncio.create_task(self._answer())
        self._answering.add_done_callback(self._fail_of)
        channel.close_callbacks.add(lambda *_: self._end("the channel was closed"))
        protocol.on_consumer_cancel_callbacks.add(self._cancelled)

    @classmethod
    async def open(cls, link: Link, handle: Handle) -> "Session":
        """A session on a channel of its own. Raises BrokerFault."""
        channel = await link.channel()
        return cls(channel, await channel.get_underlay_channel(), handle, timeout=link.timeout)

    @property
    def held(self) -> Mapping[int, Delivery]:
        """What the handler did not settle, by delivery tag."""
        return self._held

    async def take(self, queue: str) -> bool:
        """Handle one message; whether there was one. Raises BrokerFault."""
        delivery = _read(await ask(self._protocol.basic_get(queue), self._timeout), self._name)
        if delivery.tag:
            await asyncio.wait([self._start(delivery)])
        return bool(delivery.tag)

    async def consume(self, queue: str, prefetch: int) -> None:
        """Let messages come; once in a session. Raises BrokerFault.

        RabbitMQ 3.10 loses track of what it was about to send when a consumer is cancelled: those messages come only
        after the channel was closed, and as long hold up a second consumer on it.
        """
        await ask(self._protocol.basic_qos(prefetch_count=prefetch), self._timeout)
        answer = await ask(self._protocol.basic_consume(queue, self._receive), self._timeout)
        self._tag = answer.consumer_tag

    @property
    def consuming(self) -> bool:
        """Whether messages may come by themselves."""
        return self._tag is not None

    def go_on(self) -> None:
        """Handle again what comes."""
        self._holding = False
        if not self.over.is_set():
            self.stopped.clear()

    def stop(self, why: str, *, hold: bool = False) -> None:
        """No more messages; what is under way may finish."""
        self._holding = self._holding or hold
        if not self.stopped.is_set():
            self.why = why
            self.stopped.set()

    async def cancel(self) -> None:
        """Have the broker send no more. Raises BrokerFault."""
        tag, self._tag = self._tag, None
        if tag is not None and not self.over.is_set():
            await ask(self._protocol.basic_cancel(tag), self._timeout)

    async def finish(self, seconds: float | None = None) -> None:
        """Wait until nothing is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def retry(self) -> None:
        """Handle again what is held, in the order in which it came: the first, and all others if that is settled."""
        first, *others = sorted(self._held)
        await asyncio.wait([self._start(self._held[first])])
        if first not in self._held and others:
            await asyncio.wait([self._start(self._held[tag]) for tag in others])

    async def close(self) -> list[Delivery]:
        """Cancel the consumer, finish what is under way, answer, close. Gives what is held: it comes again."""
        self.stop("closed")
        try:
            await self.cancel()
            await self.finish(_GRACE)
            await self._send()
            await self._give_back()
        except BrokerFault as fault:
            log.debug("session.lost", error=str(fault))
        finally:
            await self._abandon()
        return [self._held[tag] for tag in sorted(self._held)]

    async def _receive(self, message: aiormq.abc.DeliveredMessage) -> None:
        delivery = _read(message, self._name)
        if self._holding:
            self._held[delivery.tag] = delivery
        elif not self.over.is_set():
            self._start(delivery)

    def _start(self, delivery: Delivery) -> asyncio.Task[None]:
        task = asyncio.create_task(self._work(delivery))
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._fail_of(task)

    def _fail_of(self, task: asyncio.Task[None]) -> None:
        """A task that ended otherwise than it should ends the session, so that its messages come again."""
        if task.cancelled():
            self._end("a call was cancelled")
        elif (error := task.exception()) is not None:
            self.crash = self.crash or error
            self._end(f"{type(error).__name__}: {error}")

    async def _work(self, delivery: Delivery) -> None:
        if await self._handle(delivery):
            self._held.pop(delivery.tag, None)
            self._acks.done(delivery.tag)
            self._kick.set()
        else:
            # What it failed at may have been done all the same, as for a message that comes again.
            self._held[delivery.tag] = replace(delivery, again=True)

    async def _answer(self) -> None:
        while True:
            await self._kick.wait()
            self._kick.clear()
            try:
                await self._send()
            except BrokerFault as fault:
                self._end(str(fault))

    async def _send(self) -> None:
        for tag, multiple in self._acks.take():
            await ask(self._protocol.basic_ack(tag, multiple=multiple, wait=False), self._timeout)

    def _cancelled(self, _: object) -> None:
        self._end("the broker cancelled the consumer: its queue was deleted, or its node went away")

    def _end(self, why: str) -> None:
        self.over.set()
        self.stop(why)

    async def _give_back(self) -> None:
        # By basic.nack, after the consumer was cancelled (it would get them again at once): RabbitMQ 4.3 does not count
        # a nack as a delivery, RabbitMQ up to 4.2 does. All count a basic.reject and a channel that is closed.
        for tag in sorted(self._held):
            await ask(self._protocol.basic_nack(tag, requeue=True, wait=False), self._timeout)

    async def _abandon(self) -> None:
        left: Iterable[asyncio.Task[None]] = [*self._under_way, self._answering]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        try:
            if not self._channel.is_closed:
                await ask(self._channel.close(), self._timeout)
        except BrokerFault as fault:
            log.debug("session.lost", error=str(fault))


def _read(message: aiormq.abc.DeliveredMessage, session: str) -> Delivery:
    properties = message.header.properties
    readable, dropped = split_dropped(properties.headers or {})
    stamp = properties.timestamp
    routing_key, message_id, headers = restored(
        message.exchange, message.routing_key or "", properties.message_id, readable
    )
    return Delivery(
        tag=message.delivery_tag or 0,
        body=message.body,
        routing_key=routing_key,
        redelivered=bool(message.redelivered),
        session=session,
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        message_id=message_id,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        type=properties.message_type,
        app_id=properties.app_id,
        timestamp=None if stamp is None else round(stamp.timestamp() * 1_000),
        headers=headers,
        dropped=dropped,
    )
