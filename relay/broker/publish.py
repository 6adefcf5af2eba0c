"""Publishes results: the adapter of the port `Results` (DESIGN, "AMQP out")."""

from typing import Any

from aio_pika import DeliveryMode, Message

from relay.broker.faults import Away, BrokerFault, Forbidden, Unroutable, ask
from relay.broker.lane import ExchangeLane
from relay.broker.link import Link
from relay.broker.topology import ensure_outlet
from relay.model import Due, Result, ResultType
from relay.ports import Publishing


class ResultPublisher:
    """Publishes to the result exchange and to reply queues, each on its own channel with publisher confirms.

    `queue` is the quorum queue to declare and bind with `#`; None declares none. Existing entities are used as they
    are.
    """

    def __init__(self, link: Link, *, exchange: str, queue: str | None) -> None:
        self._link = link
        self._exchange = exchange
        self._queue = queue
        self._results = ExchangeLane(link, exchange, returns=True, prepare=self._declare)
        self._replies = ExchangeLane(link, "", returns=False, prepare=_nothing)

    async def ensure(self) -> None:
        """Declare the exchange and queue before the first result, so that consumers can start first.

        Raises BrokerFault.
        """
        await self._results.open()

    async def publish(self, due: Due, body: bytes) -> None:
        """Publish a result and return once RabbitMQ has confirmed it.

        Raises Publishing. Even then the message may have arrived.
        """
        lane, key = self._route(due)
        try:
            exchange = await lane.open()
            call = exchange.publish(_compose(due.result, body), key, mandatory=not due.destination)
            await ask(call, self._link.timeout)
        except Unroutable:
            lane.doubt()
            hint = f"bind one to exchange {self._exchange!r} with '#'"
            raise Publishing(f"no queue takes messages with routing key {key!r}: {hint}", unroutable=True) from None
        except Away as fault:
            raise Publishing(str(fault), away=True) from None
        except BrokerFault as fault:
            lane.doubt()
            raise Publishing(str(fault), denied=isinstance(fault, Forbidden)) from None

    def _route(self, due: Due) -> tuple[ExchangeLane, str]:
        if due.destination:
            return self._replies, due.destination
        return self._results, due.result.routing_key or ""

    async def _declare(self) -> None:
        await ensure_outlet(self._link, self._exchange, self._queue)


async def _nothing() -> None:
    """Prepare nothing: the default exchange always exists."""


def _compose(result: Result, body: bytes) -> Message:
    headers: dict[str, Any] = {}
    if result.traceparent:
        headers["traceparent"] = result.traceparent
    if result.type is ResultType.CREATED and result.chat_uuid:
        headers["chat-uuid"] = result.chat_uuid
    return Message(
        body,
        headers=headers,
        content_type="application/cloudevents+json",
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=result.id,
        correlation_id=result.correlation_id or result.event_id,
        timestamp=result.time // 1_000,
        type=result.type.value,
    )
