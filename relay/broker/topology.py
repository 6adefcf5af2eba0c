"""Exchanges, queues and bindings: looked up first and used as they are, declared where they are missing."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aio_pika.abc import AbstractChannel

from relay.broker.faults import Away, BrokerFault, Missing, ask
from relay.broker.link import Link

QUORUM: Final[Mapping[str, Any]] = {"x-queue-type": "quorum"}
PATIENT: Final[Mapping[str, Any]] = {**QUORUM, "x-delivery-limit": 1_000_000}
"""For queues that Relay consumes: each cut connection counts as a delivery of all that was under way on it, and past
the limit RabbitMQ drops a message. (Without the argument RabbitMQ 4 takes 20; 3.x knows no "unlimited".)"""

_LIMIT: Final = re.compile(r"'x-delivery-limit'.* but current is (?:(?:the value )?'(\d+)'|none)", re.DOTALL)


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
        async with scratch(link) as channel:
            await ask(channel.declare_exchange(name, passive=True), link.timeout)
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


async def bind_queue(link: Link, queue: str, exchange: str, key: str) -> None:
    """Bind a queue that is there to an exchange that is there. Raises Missing, BrokerFault."""
    async with scratch(link) as channel:
        found = await ask(channel.get_queue(queue, ensure=False), link.timeout)
        await ask(found.bind(exchange, key), link.timeout)


async def delivery_limit(link: Link, queue: str) -> int | None:
    """The `x-delivery-limit` of an existing queue where it can be seen; None when there is none, or it cannot.

    AMQP has no question for this; but RabbitMQ refuses to declare a queue again with other arguments, and says why.
    A limit set by a policy is not seen.
    """
    try:
        async with scratch(link) as channel:
            await ask(channel.declare_queue(queue, durable=True, arguments=dict(PATIENT)), link.timeout)
    except Away:
        raise
    except BrokerFault as fault:
        match = _LIMIT.search(str(fault))
        if match is None:
            return None
        return int(match[1]) if match[1] else _default_limit(link.server())
    return int(PATIENT["x-delivery-limit"])


def _default_limit(server: str) -> int | None:
    """What a quorum queue without the argument has (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling)."""
    major = server.partition(".")[0]
    return 20 if major.isdigit() and int(major) >= 4 else None
