"""Publishes results: the adapter of the port `Results` (config/reference.md, "Results on RabbitMQ")."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from aio_pika import DeliveryMode, Message

from relay.broker.faults import Away, BrokerFault, Forbidden, Unroutable, Unwritable
from relay.broker.fit import cut
from relay.broker.lane import ExchangeLane
from relay.broker.link import Link
from relay.broker.topology import ensure_exchange, ensure_outlet
from relay.model import Due, Result, ResultType
from relay.ports import Publishing
from relay.telemetry import get_log

log = get_log()


class ResultPublisher:
    """Publishes to exchanges of results and to reply queues, each on its own channel with publisher confirms.

    `queue` is the quorum queue to declare and bind with `#` to the result exchange `exchange`; None declares none.
    `others` are the exchanges that rules name; one that is not among them is declared before its first result.
    Existing entities are used as they are.
    """

    def __init__(self, link: Link, *, exchange: str, queue: str | None, others: Sequence[str] = ()) -> None:
        self._link = link
        self._exchange = exchange
        self._others = others
        declare = partial(ensure_outlet, link, exchange, queue)
        self._results = {exchange: ExchangeLane(link, exchange, returns=True, prepare=declare)}
        self._replies = ExchangeLane(link, "", returns=False, prepare=_nothing)

    async def ensure(self) -> None:
        """Declare the exchanges and the queue before the first result, so that consumers can start first.

        Raises BrokerFault. A fault of an exchange that rules name holds up only their results, and is logged.
        """
        await self._lane(self._exchange).open()
        for name in self._others:
            try:
                await self._lane(name).open()
            except Away:
                raise
            except BrokerFault as fault:
                what = f"exchange {name!r} of rules' results: {fault}"
                log.error("broker.unprepared", connection=self._link.name, error=what)  # noqa: TRY400 - foreseen

    async def publish(self, due: Due, body: bytes) -> None:
        """Publish a result and return once RabbitMQ has confirmed it.

        Raises Publishing. Even then the message may have arrived.
        """
        lane, key = self._route(due)
        try:
            await lane.publish(_compose(due.result, body), key, mandatory=not due.destination)
        except Unroutable:
            hint = f"bind one to exchange {(due.result.exchange or self._exchange)!r} with '#'"
            raise Publishing(f"no queue takes messages with routing key {key!r}: {hint}", unroutable=True) from None
        except Away as fault:
            raise Publishing(str(fault), away=True) from None
        except BrokerFault as fault:
            denied, failed = isinstance(fault, Forbidden), isinstance(fault, Unwritable)
            raise Publishing(str(fault), denied=denied, failed=failed) from None

    def _route(self, due: Due) -> tuple[ExchangeLane, str]:
        if due.destination:
            return self._replies, due.destination
        return self._lane(due.result.exchange or self._exchange), due.result.routing_key or ""

    def _lane(self, exchange: str) -> ExchangeLane:
        if exchange not in self._results:
            declare = partial(ensure_exchange, self._link, exchange)
            self._results[exchange] = ExchangeLane(self._link, exchange, returns=True, prepare=declare)
        return self._results[exchange]


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
        correlation_id=cut(result.correlation_id) or result.event_id,  # it may have grown; the body has all of it
        timestamp=result.time // 1_000,
        type=result.type.value,
    )
