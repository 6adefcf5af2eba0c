"""Dead letters: messages that cannot be read, kept with the reason for a person to look at."""

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
    """Publishes to the exchange `relay.dead`, whose quorum queue of the same name takes everything."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lane = ExchangeLane(link, DEAD, returns=True, prepare=self._declare)
        self._turn = asyncio.Lock()

    async def ensure(self) -> None:
        """Make sure that there is a place for them, before there is one. Raises BrokerFault."""
        await self._lane.open()

    async def publish(self, letter: Delivery, *, source: str, reason: str, error: str) -> None:
        """Returns once RabbitMQ has confirmed it. Raises BrokerFault.

        Body and properties are the sender's; `relay-source`, `relay-reason` (a stable word) and `relay-error` (for
        people) come on top. One at a time: senders repeat message ids, and the client library tells returned
        messages apart by nothing else.
        """
        told = {"relay-source": source, "relay-reason": reason, "relay-error": error[:_LONGEST]}
        message = _compose(letter, told)
        async with self._turn:
            try:
                exchange = await self._lane.open()
                await ask(exchange.publish(message, source, mandatory=True), self._link.timeout)
            except BrokerFault:
                self._lane.doubt()
                raise

    async def _declare(self) -> None:
        await ensure_outlet(self._link, DEAD, DEAD)


def _compose(letter: Delivery, told: Mapping[str, str]) -> Message:
    return Message(
        letter.body,
        headers=_plain(letter.headers) | dict(told),
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
    """What surely can be sent again; `CC` and `BCC` would route copies to other queues."""
    return {
        name: value if isinstance(value, str | bool) else str(value)
        for name, value in headers.items()
        if name.lower() not in _ROUTING
    }
