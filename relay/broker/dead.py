"""Dead letters out: unreadable messages, kept for a person to inspect, each with the reason."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aio_pika import DeliveryMode, Message

from relay.broker.delivery import Delivery
from relay.broker.entity import PATIENT
from relay.broker.faults import BrokerFault, Unwritable, ask
from relay.broker.fit import cut, fit, writing
from relay.broker.lane import ExchangeLane
from relay.broker.link import Link
from relay.broker.topology import ensure_outlet

DEAD: Final = "relay.dead"
LETTER_ID: Final = "relay-id"
QUEUE: Final = "relay-queue"
ROUTING_KEY: Final = "relay-routing-key"
_LONGEST: Final = 500
_MOST_NAMES: Final = 200
"""Characters of the names of headers that are left out."""


class DeadLetters:
    """Publishes to the exchange `relay.dead`. A quorum queue of the same name receives everything."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lane = ExchangeLane(link, DEAD, returns=True, prepare=self._declare)
        self._turn = asyncio.Lock()

    async def ensure(self) -> None:
        """Declare the exchange and queue, before the first dead letter needs them. Raises BrokerFault."""
        await self._lane.open()

    async def publish(
        self, letter: Delivery, *, source: str, reason: str, error: str, queue: str = "", letter_id: str = ""
    ) -> None:
        """Publish a message with the sender's body and properties, and return once RabbitMQ has confirmed it.

        Adds the headers `relay-source`, `relay-reason` (a stable keyword), `relay-error` (text for people, at most 500
        characters), `relay-id` (of its record in the ledger), `relay-queue` and `relay-routing-key`, by which it came.
        Of the sender's properties it carries 255 bytes each, of the headers those that fit into a frame beside these.
        Raises BrokerFault, whatever is wrong with the message.
        """
        own_headers = {
            "relay-source": source,
            "relay-reason": reason,
            "relay-error": error[:_LONGEST],
            LETTER_ID: letter_id,
            QUEUE: queue,
            ROUTING_KEY: letter.routing_key,
        }
        with writing():
            message = _compose(letter, own_headers, letter_id, self._link.frame_max())
        # One at a time: the client library matches returned messages by message id alone, and senders may repeat ids.
        async with self._turn:
            try:
                exchange = await self._lane.open()
                with writing():
                    await ask(exchange.publish(message, source, mandatory=True), self._link.timeout)
            except Unwritable:
                raise
            except BrokerFault:
                self._lane.doubt()
                raise

    async def _declare(self) -> None:
        # With a high delivery limit: each look at the queue that gives its messages back may count as a delivery.
        await ensure_outlet(self._link, DEAD, DEAD, PATIENT)


def _compose(letter: Delivery, own_headers: Mapping[str, str], letter_id: str, frame_max: int) -> Message:
    message = Message(
        letter.body,
        headers=dict(own_headers),
        content_type=cut(letter.content_type),
        content_encoding=cut(letter.content_encoding),
        delivery_mode=DeliveryMode.PERSISTENT,
        # Without an id the client library makes up a random one, which would pass for the sender's after a requeue.
        message_id=cut(letter.message_id) or letter_id or None,
        correlation_id=cut(letter.correlation_id),
        reply_to=cut(letter.reply_to),
        timestamp=None if letter.timestamp is None else letter.timestamp / 1_000,
        type=cut(letter.type),
        app_id=cut(letter.app_id),
    )
    properties = message.properties
    left_out = fit(properties, letter.headers, frame_max)
    message.headers = properties.headers or {}
    if left_out:
        note = f" (too large to be kept here: the headers {', '.join(left_out)})"[:_MOST_NAMES]
        message.headers["relay-error"] = own_headers["relay-error"][: _LONGEST - len(note)] + note
    return message
