"""A RabbitMQ queue in memory, as far as a consumer's session needs it."""

import asyncio
from collections import deque
from types import SimpleNamespace


class Queue:
    """Messages that are ready; each channel holds what it was given until it says what became of it."""

    def __init__(self, faults):
        self.ready = deque()
        self.channels = set()
        self.faults = faults
        self.up = True
        self.timeout = 10.0
        self.unsure = set()

    def put(self, message_id, body):
        self.ready.append((message_id, body, False))
        self.stir()

    def stir(self):
        for channel in list(self.channels):
            channel.deliver()

    @property
    def consumed(self):
        """Whether somebody consumes."""
        return any(channel.callback for channel in self.channels)

    @property
    def unsettled(self):
        return sum(len(channel.given) for channel in self.channels)

    async def channel(self):
        return await self.call("channel", self._open)

    async def _open(self):
        channel = Channel(self)
        self.channels.add(channel)
        return channel

    async def call(self, name, act, channel=None):
        """What goes wrong costs the channel its connection."""

        def cut():
            if channel is not None:
                channel.end()
            return ConnectionError("reset")

        return await self.faults.pass_through("queue", name, act, cut, cut)


class Channel:
    """Both what aio-pika calls a channel and what is beneath it."""

    def __init__(self, queue):
        self.queue = queue
        self.given = {}
        self.tag = 0
        self.prefetch = 0
        self.callback = None
        self.calls = set()
        self.is_closed = False
        self.close_callbacks = set()
        self.on_consumer_cancel_callbacks = set()

    async def get_underlay_channel(self):
        return self

    async def basic_qos(self, *, prefetch_count):
        self.prefetch = prefetch_count

    async def basic_consume(self, queue, callback):
        async def act():
            self.callback = callback
            self.deliver()
            return SimpleNamespace(consumer_tag="it")

        return await self.queue.call("basic_consume", act, self)

    async def basic_cancel(self, tag):
        async def act():
            self.callback = None

        await self.queue.call("basic_cancel", act, self)

    async def basic_get(self, queue):
        async def act():
            return self._take() if self.queue.ready else _message(0, None, b"", redelivered=False)

        return await self.queue.call("basic_get", act, self)

    async def basic_ack(self, tag, *, multiple, wait):
        async def act():
            for one in [one for one in self.given if one == tag or (multiple and one < tag)]:
                del self.given[one]
            self.deliver()

        await self.queue.call("basic_ack", act, self)

    async def basic_nack(self, tag, *, requeue, wait):
        async def act():
            self._put_back(tag)

        await self.queue.call("basic_nack", act, self)

    def deliver(self):
        while self.callback and self.queue.ready and len(self.given) < self.prefetch:
            call = asyncio.create_task(self.callback(self._take()))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)

    def _take(self):
        message_id, body, again = self.queue.ready.popleft()
        self.tag += 1
        self.given[self.tag] = (message_id, body)
        return _message(self.tag, message_id, body, redelivered=again)

    def _put_back(self, tag):
        message_id, body = self.given.pop(tag)
        self.queue.ready.appendleft((message_id, body, True))

    async def close(self):
        self.end()

    def end(self):
        """What was given and not settled is ready again."""
        if not self.is_closed:
            self.is_closed, self.callback = True, None
            for tag in sorted(self.given, reverse=True):
                self._put_back(tag)
            self.queue.channels.discard(self)
            for callback in list(self.close_callbacks):
                callback(self)
            self.queue.stir()


def _message(tag, message_id, body, *, redelivered):
    properties = SimpleNamespace(**dict.fromkeys(_PROPERTIES) | {"message_id": message_id})
    header = SimpleNamespace(properties=properties)
    envelope = {"exchange": "crm", "routing_key": "deal", "redelivered": redelivered}
    return SimpleNamespace(delivery_tag=tag, body=body, header=header, **envelope)


_PROPERTIES = (
    *("timestamp", "content_type", "content_encoding", "message_id", "correlation_id", "reply_to", "message_type"),
    *("app_id", "headers"),
)
