"""A channel with one role, opened again whenever it was closed."""

import asyncio
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractChannel, AbstractExchange

from relay.broker.faults import ask
from relay.broker.link import Link


class ExchangeLane:
    """Publishes to one exchange on a channel of its own, so that what closes it disturbs nobody else.

    `prepare` makes sure that what it publishes to is there: before the first message, after the channel was closed,
    and after `doubt()`.
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

    async def open(self) -> AbstractExchange:
        """The exchange on an open channel. Raises BrokerFault, the same one for all that waited meanwhile."""
        exchange = self._usable()
        if exchange is not None and self._prepared:
            return exchange
        if self._opening is None:
            self._opening = asyncio.create_task(ask(self._open(), self._link.timeout))
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def doubt(self) -> None:
        """Make sure again before the next message that all is there."""
        self._prepared = False

    def _opened(self, task: asyncio.Task[AbstractExchange]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # those who waited may be gone; nobody else wants it

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
