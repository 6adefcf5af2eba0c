"""Exchanges, queues and bindings: looked up first and used as they are, declared where they are missing."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aio_pika.abc import AbstractChannel

from relay.broker.entity import QUORUM, Binding, Entity, Exchange, Queue
from relay.broker.faults import Forbidden, Hidden, Missing, ask
from relay.broker.link import Link
from relay.telemetry import get_log

log = get_log()


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
        with _told(link, Exchange(name)):
            async with scratch(link) as channel:
                await ask(channel.declare_exchange(name, "topic", durable=True), link.timeout)


async def ensure_queue(link: Link, name: str, arguments: Mapping[str, Any] | None) -> bool:
    """A durable queue, unless there is one of that name; whether it was there already.

    `arguments` None means that it must be there. Raises Missing then, and BrokerFault.
    """
    try:
        with _seen(link, Queue(name, tuple((arguments or {}).items()))):
            async with scratch(link) as channel:
                await ask(channel.declare_queue(name, passive=True), link.timeout)
    except Missing:
        if arguments is None:
            raise
        with _told(link, Queue(name, tuple(arguments.items()))):
            async with scratch(link) as channel:
                await ask(channel.declare_queue(name, durable=True, arguments=dict(arguments)), link.timeout)
        return False
    return True


async def find_exchange(link: Link, name: str) -> None:
    """Return when there is an exchange of that name. Raises Missing, Hidden, BrokerFault."""
    with _seen(link, Exchange(name)):
        async with scratch(link) as channel:
            await ask(channel.declare_exchange(name, passive=True), link.timeout)


async def ensure_outlet(link: Link, exchange: str, queue: str | None) -> None:
    """An exchange to publish to, and a quorum queue (None: no queue) that takes everything. Raises BrokerFault.

    A queue that our user may not see is no fault, as it needs no right on it: it is logged once.
    """
    await ensure_exchange(link, exchange)
    if queue is None:
        return
    try:
        await ensure_queue(link, queue, QUORUM)
    except Hidden as fault:
        _warn(link, Queue(queue, tuple(QUORUM.items())), fault)
    await bind_queue(link, queue, exchange, "#")


async def bind_queue(link: Link, queue: str, exchange: str, key: str) -> None:
    """Bind a queue that is there to an exchange that is there. Raises Missing, BrokerFault.

    A user who may not bind is no fault: whether it is bound already cannot be asked over AMQP. It is logged once with
    the command for it; results that no queue takes come back anyway, and are told as unroutable.
    """
    binding = Binding(exchange, queue, key)
    try:
        async with scratch(link) as channel:
            bound = await ask(channel.get_queue(queue, ensure=False), link.timeout)
            await ask(bound.bind(exchange, key), link.timeout)
    except Forbidden as fault:
        _warn(link, binding, fault)


def _warn(link: Link, entity: Entity, fault: Forbidden) -> None:
    command = entity.command(link.address.vhost)
    if command not in link.unsure:
        link.unsure.add(command)
        log.warning("broker.unsure", what=str(entity), error=str(fault), do=f"if it is not there yet: {command}")


@contextmanager
def _seen(link: Link, entity: Entity) -> Iterator[None]:
    """Says of what RabbitMQ does not show how a person makes it and grants a right on it."""
    try:
        yield
    except Forbidden as fault:
        command = entity.command(link.address.vhost)
        hint = f"let somebody run `{command}` unless it is there, and grant what `relay topology` says"
        raise Hidden(f"this user may not even look whether {entity} is there ({fault}): {hint}") from None


@contextmanager
def _told(link: Link, entity: Entity) -> Iterator[None]:
    """Says of what RabbitMQ refuses to make how a person makes it."""
    try:
        yield
    except Forbidden as fault:
        command = entity.command(link.address.vhost)
        told = f"{entity} is missing, and this user may not make it ({fault}): let somebody run `{command}`"
        raise Forbidden(f"{told} (`relay topology` prints all that Relay needs, also as a definitions file)") from None
