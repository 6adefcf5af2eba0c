"""Declares exchanges, queues and bindings that are missing; existing ones are used as they are."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aio_pika.abc import AbstractChannel

from relay.broker.entity import QUORUM, Binding, Entity, Exchange, Queue
from relay.broker.faults import Forbidden, Hidden, MissingEntity, ask
from relay.broker.link import Link
from relay.telemetry import get_log

log = get_log()


@asynccontextmanager
async def scratch(link: Link) -> AsyncIterator[AbstractChannel]:
    """A channel for one operation, because RabbitMQ closes the channel when it refuses an operation."""
    channel = await link.channel()
    try:
        yield channel
    finally:
        if not channel.is_closed:
            await ask(channel.close(), link.timeout)


async def ensure_exchange(link: Link, name: str) -> None:
    """Declare a durable topic exchange unless one of that name exists. Raises BrokerFault."""
    try:
        await find_exchange(link, name)
    except MissingEntity:
        with _explains_declaring(link, Exchange(name)):
            async with scratch(link) as channel:
                await ask(channel.declare_exchange(name, "topic", durable=True), link.timeout)


async def ensure_queue(link: Link, name: str, arguments: Mapping[str, Any] | None) -> bool:
    """Declare a durable queue unless one of that name exists. Returns whether it existed.

    With `arguments` None it is not declared, and raises MissingEntity if it does not exist. Raises BrokerFault.
    """
    try:
        with _explains_checking(link, Queue(name, tuple((arguments or {}).items()))):
            async with scratch(link) as channel:
                await ask(channel.declare_queue(name, passive=True), link.timeout)
    except MissingEntity:
        if arguments is None:
            raise
        with _explains_declaring(link, Queue(name, tuple(arguments.items()))):
            async with scratch(link) as channel:
                await ask(channel.declare_queue(name, durable=True, arguments=dict(arguments)), link.timeout)
        return False
    return True


async def count_queue(link: Link, name: str) -> tuple[int, int]:
    """How many messages and consumers an existing queue has. Raises MissingEntity, Hidden, BrokerFault."""
    with _explains_checking(link, Queue(name)):
        async with scratch(link) as channel:
            declared = await ask(channel.declare_queue(name, passive=True), link.timeout)
    counts = declared.declaration_result
    return counts.message_count or 0, counts.consumer_count or 0


async def find_exchange(link: Link, name: str) -> None:
    """Check that an exchange of that name exists. Raises MissingEntity, Hidden, BrokerFault."""
    with _explains_checking(link, Exchange(name)):
        async with scratch(link) as channel:
            await ask(channel.declare_exchange(name, passive=True), link.timeout)


async def ensure_outlet(link: Link, exchange: str, queue: str | None, arguments: Mapping[str, Any] = QUORUM) -> None:
    """Ensure an exchange and, unless `queue` is None, a queue with these arguments that receives everything.

    Raises BrokerFault.

    A queue that our user may not check is only logged, once, because publishing needs no permission on it.
    """
    await ensure_exchange(link, exchange)
    if queue is None:
        return
    try:
        await ensure_queue(link, queue, arguments)
    except Hidden as fault:
        _warn(link, Queue(queue, tuple(arguments.items())), fault)
    await bind_queue(link, queue, exchange, "#")


async def bind_queue(link: Link, queue: str, exchange: str, key: str) -> None:
    """Bind an existing queue to an existing exchange. Raises MissingEntity, BrokerFault.

    A missing permission to bind is only logged, once, with the command to run: AMQP cannot tell whether the binding
    exists. If it does not, RabbitMQ returns the results, and Relay reports them as unroutable.
    """
    binding = Binding(exchange, queue, key)
    try:
        async with scratch(link) as channel:
            target = await ask(channel.get_queue(queue, ensure=False), link.timeout)
            await ask(target.bind(exchange, key), link.timeout)
    except Forbidden as fault:
        _warn(link, binding, fault)


def _warn(link: Link, entity: Entity, fault: Forbidden) -> None:
    command = entity.command(link.address.vhost)
    if command not in link.unsure:
        link.unsure.add(command)
        log.warning("broker.unsure", what=str(entity), error=str(fault), do=f"if it does not exist yet: {command}")


@contextmanager
def _explains_checking(link: Link, entity: Entity) -> Iterator[None]:
    """Turn Forbidden while checking an entity into Hidden, with the command that creates the entity."""
    try:
        yield
    except Forbidden as fault:
        command = entity.command(link.address.vhost)
        hint = f"let somebody run `{command}` unless it exists, and grant the permissions that `relay topology` prints"
        raise Hidden(f"this user may not check whether {entity} is there ({fault}): {hint}") from None


@contextmanager
def _explains_declaring(link: Link, entity: Entity) -> Iterator[None]:
    """Add to Forbidden while declaring an entity the command with which a person can create it."""
    try:
        yield
    except Forbidden as fault:
        command = entity.command(link.address.vhost)
        problem = f"{entity} is missing, and this user may not create it ({fault}): let somebody run `{command}`"
        raise Forbidden(
            f"{problem} (`relay topology` prints everything that Relay needs, also as a definitions file)"
        ) from None
