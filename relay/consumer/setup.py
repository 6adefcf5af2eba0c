"""Makes sure that an input's queue exists and is bound."""

from relay.broker import (
    PATIENT,
    BrokerFault,
    Exchange,
    Link,
    MissingEntity,
    Queue,
    bind_queue,
    delivery_limit,
    ensure_queue,
)
from relay.consumer.source import Input
from relay.telemetry import get_log

log = get_log()


async def prepare(link: Link, source: Input) -> bool:
    """Look the queue up, declare it if the source wants that, and bind it.

    Returns whether it existed. Raises BrokerFault.
    """
    try:
        existed = await ensure_queue(link, source.queue, PATIENT if source.declare else None)
    except MissingEntity:
        command = Queue(source.queue, tuple(PATIENT.items())).command(link.address.vhost)
        hint = f"create it (`{command}`), or leave out `declare: false`"
        raise BrokerFault(f"source {source.name}: queue {source.queue!r} does not exist: {hint}") from None
    if source.bind is not None:
        await _bind(link, source, *source.bind)
    return existed


async def warn_of_limit(link: Link, source: Input) -> None:
    """Log it when RabbitMQ drops messages of this queue after few deliveries."""
    limit = await delivery_limit(link, source.queue)
    if limit is not None and limit.loses:
        log.warning(
            "source.delivery_limit",
            source=source.name,
            queue=source.queue,
            limit=limit.count,
            what="RabbitMQ drops a message after so many cut connections and long outages",
            do=f"where no policy does so: {limit.advise(source.queue, link.address.vhost)}",
        )


async def _bind(link: Link, source: Input, exchange: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        try:
            await bind_queue(link, source.queue, exchange, key)
        except MissingEntity:
            command = Exchange(exchange).command(link.address.vhost)
            hint = f"create it (`{command}`), or correct bind.exchange"
            raise BrokerFault(f"source {source.name}: exchange {exchange!r} does not exist: {hint}") from None
