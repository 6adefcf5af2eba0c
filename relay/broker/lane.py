"""A channel for one exchange, reopened after it was closed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractMessage

from relay.broker.faults import Away, BrokerFault, Unroutable, Unwritable, ask
from relay.broker.fit import writing
from relay.broker.link import Link


class ExchangeLane:
    """Publishes to one exchange on its own channel, so that an error that closes it affects no other publisher.

    `prepare` makes sure that the exchange and its queue exist. It runs before the first message, and again
    after the channel was closed or `doubt()` was called.

    RabbitMQ answers a message that it refuses by closing the channel, and messages that follow on a closed channel by
    closing the connection. So an exchange that is not known to take messages is tried with one, and whatever else is
    to be published there meanwhile shares its fault.
    """

    def __init__(self, link: Link, exchange: str, *, returns: bool, prepare: Callable[[], Awaitable[None]]) -> None:
        self._link = link
        self._name = exchange
        self._returns = returns
        self._prepare = prepare
        self._prepared = False
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._opening: asyncio.Task[AbstractExchange] | None = None
        self._proved = False
        self._trial: asyncio.Task[None] | None = None

    async def publish(self, message: AbstractMessage, key: str, *, mandatory: bool) -> None:
        """Publish a message and return once RabbitMQ has confirmed it. Raises BrokerFault."""
        while not self._proved:
            if self._trial is None:
                self._trial = asyncio.create_task(self._send(message, key, mandatory=mandatory))
                self._trial.add_done_callback(self._tried)
                return await asyncio.shield(self._trial)
            with suppress(Unroutable, Unwritable):  # which is wrong with that one alone
                await asyncio.shield(self._trial)
        return await self._send(message, key, mandatory=mandatory)

    async def _send(self, message: AbstractMessage, key: str, *, mandatory: bool) -> None:
        try:
            exchange = await self.open()
            with writing():
                await ask(exchange.publish(message, key, mandatory=mandatory), self._link.timeout)
        except Unroutable:
            self._proved = True
            self.doubt()
            raise
        except (Away, Unwritable):
            raise
        except BrokerFault:
            self._proved = False
            self.doubt()
            raise
        self._proved = True

    def _tried(self, task: asyncio.Task[None]) -> None:
        self._trial = None
        _retrieve(task)

    async def open(self) -> AbstractExchange:
        """The exchange on an open channel. Concurrent callers share one attempt. Raises BrokerFault."""
        exchange = self._usable()
        if exchange is not None and self._prepared:
            return exchange
        if self._opening is None:
            self._opening = asyncio.create_task(ask(self._open(), self._link.timeout))
            self._opening.add_done_callback(self._opened)
        # Shielded: a caller that is cancelled must not cancel the attempt that the others wait for.
        return await asyncio.shield(self._opening)

    def doubt(self) -> None:
        """Run `prepare` again before the next message."""
        self._prepared = False

    def _opened(self, task: asyncio.Task[AbstractExchange]) -> None:
        self._opening = None
        _retrieve(task)

    async def _open(self) -> AbstractExchange:
        exchange = self._usable()
        await self._prepare()
        self._prepared = True
        if exchange is None:
            self._channel = await self._link.channel(returns=self._returns)
            exchange = await self._channel.get_exchange(self._name, ensure=False)
            self._exchange = exchange
        return exchange

    def _usable(self) -> AbstractExchange | None:
        return None if self._channel is None or self._channel.is_closed else self._exchange


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark an error as retrieved: if every caller was cancelled, asyncio would log it."""
    if not task.cancelled():
        task.exception()
