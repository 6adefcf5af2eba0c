"""Exchanges, queues and bindings: looked up first and used as they are, declared where they are missing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aio_pika.abc import AbstractChannel

from relay.broker.faults import Missing, ask
from relay.broker.link import Link

QUORUM: Final[Mapping[str, Any]] = {"x-queue-type": "quorum"}
PATIENT: Final[Mapping[str, Any]] = {**QUORUM, "x-delivery-limit": 1_000_000}
"""For queues that Relay consumes: each cut connection counts as a delivery of all that was under way on it, and past
the limit RabbitMQ drops a message. (Without the argument RabbitMQ 4 takes 20; 3.x knows no "unlimited".)"""


@asynccontextmanager
async def scratch(link: Link) -> AsyncIterator[AbstractChannel]:
    """A channel for one question: RabbitMQ answers "no" by closing the channel that asked."""
    channel = await link.channel()
    try:
        yield channel
    finally:
        if not channel.is_closed:
            await ask(channel.close(), link.timeout)


async def ensure_exchange(link: Link, name: str) -> None:
    """A durable topic exchange, unless there is one of that name. Raises BrokerFault."""
    try:
        await find_exchange(link, name)
    except Missing:
        async with scratch(link) as channel:
            await ask(channel.declare_exchange(name, "topic", durable=True), link.timeout)


async def ensure_queue(link: Link, name: str, arguments: Mapping[str, Any] | None) -> bool:
    """A durable queue, unless there is one of that name; whether it was there already.

    `arguments` None means that it must be there. Raises Missing then, and BrokerFault.
    """
    try:
        async with scratch(link) as channel:
            await ask(channel.declare_queue(name, passive=True), link.timeout)
    except Missing:
        if arguments is None:
            raise
        async with scratch(link) as channel:
            await ask(channel.declare_queue(name, durable=True, arguments=dict(arguments)), link.timeout)
        return False
    return True


async def find_exchange(link: Link, name: str) -> None:
    """Return when there is an exchange of that name. Raises Missing, BrokerFault."""
    async with scratch(link) as channel:
        await ask(channel.declare_exchange(name, passive=True), link.timeout)


async def bind_queue(link: Link, queue: str, exchange: str, key: str) -> None:
    """Bind a queue that is there to an exchange that is there. Raises Missing, BrokerFault."""
    async with scratch(link) as channel:
        found = await ask(channel.get_queue(queue, ensure=False), link.timeout)
        await ask(found.bind(exchange, key), link.timeout)
