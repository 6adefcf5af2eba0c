"""Dead letters: unreadable messages, kept for a person to inspect, each with the reason."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aio_pika import DeliveryMode, Message

from relay.broker.delivery import Delivery
from relay.broker.faults import BrokerFault, ask
from relay.broker.lane import ExchangeLane
from relay.broker.link import Link
from relay.broker.topology import ensure_outlet

DEAD: Final = "relay.dead"
_ROUTING: Final = frozenset({"cc", "bcc"})
_LONGEST: Final = 500


class DeadLetters:
    """Publishes to the exchange `relay.dead`. A quorum queue of the same name receives everything."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lane = ExchangeLane(link, DEAD, returns=True, prepare=self._declare)
        self._turn = asyncio.Lock()

    async def ensure(self) -> None:
        """Declare the exchange and queue, before the first dead letter needs them. Raises BrokerFault."""
        await self._lane.open()

    async def publish(self, letter: Delivery, *, source: str, reason: str, error: str) -> None:
        """Publish a message with the sender's body and properties, and return once RabbitMQ has confirmed it.

        Adds the headers `relay-source`, `relay-reason` (a stable keyword) and `relay-error` (text for people, at most
        500 characters). Raises BrokerFault.
        """
        reason_headers = {"relay-source": source, "relay-reason": reason, "relay-error": error[:_LONGEST]}
        message = _compose(letter, reason_headers)
        # One at a time: the client library matches returned messages by message id alone, and senders may repeat ids.
        async with self._turn:
            try:
                exchange = await self._lane.open()
                await ask(exchange.publish(message, source, mandatory=True), self._link.timeout)
            except BrokerFault:
                self._lane.doubt()
                raise

    async def _declare(self) -> None:
        await ensure_outlet(self._link, DEAD, DEAD)


def _compose(letter: Delivery, reason_headers: Mapping[str, str]) -> Message:
    return Message(
        letter.body,
        headers=_plain(letter.headers) | dict(reason_headers),
        content_type=letter.content_type,
        content_encoding=letter.content_encoding,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=letter.message_id,
        correlation_id=letter.correlation_id,
        reply_to=letter.reply_to,
        type=letter.type,
        app_id=letter.app_id,
    )


def _plain(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers in a form that can be sent, without `CC` and `BCC`, which would route copies to other queues."""
    return {
        name: value if isinstance(value, str | bool) else str(value)
        for name, value in headers.items()
        if name.lower() not in _ROUTING
    }
