"""Dead letters back: takes messages from the queue `relay.dead` and publishes them to the queues from which they came.

The message is taken from the queue, and the ledger has no copy of its body: bodies may be larger than a ledger should
hold, they belong to the customer, and one message in two places would be sent back twice. AMQP cannot look for a
message, so one pass gets the messages one after the other. Those that are not wanted stay unacknowledged until its end,
so that none is seen twice, and are then given back. RabbitMQ up to 4.2 counts that as a delivery, so Relay declares the
queue with a high delivery limit.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiormq.abc

from relay.broker.dead import DEAD, LETTER_ID, QUEUE, ROUTING_KEY
from relay.broker.faults import Away, BrokerFault, Forbidden, MissingEntity, Unroutable, Unwritable, ask
from relay.broker.fit import cut_properties, fit, writing
from relay.broker.link import Link
from relay.broker.tolerant import UNREADABLE, split_dropped

_OWN: Final = frozenset({"relay-source", "relay-reason", "relay-error", QUEUE, UNREADABLE})
_COUNTS: Final = frozenset({"x-delivery-count", "x-acquired-count"})
"""Headers that RabbitMQ adds to what it delivers."""
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as its headers describe it; `id` is None for one that another program published."""

    id: str | None
    source: str
    queue: str


@dataclass(slots=True)
class RequeuePass:
    """What became of a pass: the letters that were sent back, and pairs of a letter that stays and the reason.

    `fault` is what ended the pass before its end, else None.
    """

    sent: list[Letter] = field(default_factory=list)
    kept: list[tuple[Letter, str]] = field(default_factory=list)
    fault: BrokerFault | None = None


async def requeue(
    link: Link, wanted: Collection[str] | None, *, source: str | None, queues: Mapping[str, str]
) -> RequeuePass:
    """Send letters back: those with the ids `wanted`, else all; with `source` only those of this source.

    `queues` maps a source to its queue today; a letter of any other source goes to the queue from which it came. Each
    is published with confirm before it is acknowledged, so a loss of the connection can send one twice, and lose none.
    Letters that come while the pass runs are not taken.
    """
    requeued = RequeuePass()
    try:
        async with _channel(link) as getting, _channel(link, returns=True) as giving:
            turn = _Pass(link, getting, giving, queues, requeued)
            await turn.run(None if wanted is None else set(wanted), source)
    except BrokerFault as fault:
        requeued.fault = fault
    return requeued


@asynccontextmanager
async def _channel(link: Link, *, returns: bool = False) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    channel = await link.channel(returns=returns)
    try:
        yield await channel.get_underlay_channel()
    finally:
        if not channel.is_closed:
            await ask(channel.close(), link.timeout)


class _Pass:
    """One pass over the queue."""

    def __init__(
        self,
        link: Link,
        getting: aiormq.abc.AbstractChannel,
        giving: aiormq.abc.AbstractChannel,
        queues: Mapping[str, str],
        requeued: RequeuePass,
    ) -> None:
        self._link = link
        self._getting = getting
        self._giving = giving
        self._queues = queues
        self._passed: list[int] = []
        self._sent_ids: set[str] = set()
        self._requeued = requeued

    async def run(self, wanted: set[str] | None, source: str | None) -> None:
        left = await self._count()
        try:
            while left > 0 and wanted != set():
                message = await ask(self._getting.basic_get(DEAD), self._link.timeout)
                if not message.delivery_tag:
                    break
                left -= 1
                letter = self._describe(message)
                if letter.id is not None and letter.id in self._sent_ids:
                    # A copy, which was published when RabbitMQ did not answer in time: the first one stands for both.
                    await self._acknowledge(message)
                    continue
                chosen = (wanted is None or letter.id in wanted) and source in {None, letter.source}
                if wanted is not None and letter.id is not None:
                    wanted.discard(letter.id)
                if not (chosen and await self._send(message, letter)):
                    self._passed.append(message.delivery_tag)
        finally:
            await self._give_back()

    async def _count(self) -> int:
        """The messages that are there now: what a requeued message becomes, and comes later, is not taken again."""
        try:
            declared = await ask(self._getting.queue_declare(DEAD, passive=True), self._link.timeout)
        except MissingEntity:
            return 0
        except Forbidden as fault:
            raise Forbidden(f"{fault}; grant the user of broker.url the right to read {DEAD}") from None
        return declared.message_count or 0

    def _describe(self, message: aiormq.abc.DeliveredMessage) -> Letter:
        headers = message.header.properties.headers or {}
        source, queue = str(headers.get("relay-source") or ""), str(headers.get(QUEUE) or "")
        return Letter(str(headers.get(LETTER_ID) or "") or None, source, self._queues.get(source) or queue)

    async def _send(self, message: aiormq.abc.DeliveredMessage, letter: Letter) -> bool:
        """Publish, then acknowledge. Returns False for a letter that has to stay."""
        if not letter.queue:
            self._requeued.kept.append((letter, "its headers name no queue"))
            return False
        try:
            with writing():
                await self._publish(message, letter.queue)
        except Unroutable:
            self._requeued.kept.append((letter, f"queue {letter.queue!r} does not exist"))
            return False
        except Away:
            raise
        except Forbidden as fault:
            raise Forbidden(f"{fault}; grant the user of broker.url the right to write amq.default") from None
        except BrokerFault as fault:  # the queue is full, for instance
            self._requeued.kept.append((letter, str(fault)))
            return False
        await self._acknowledge(message)
        self._requeued.sent.append(letter)
        if letter.id is not None:
            self._sent_ids.add(letter.id)
        return True

    async def _publish(self, message: aiormq.abc.DeliveredMessage, queue: str) -> None:
        """Publish what the letter's sender gave, as far as it can be written: another program may have buried it."""
        properties = message.header.properties
        headers = split_dropped(properties.headers or {})[0]
        cut_properties(properties)
        properties.headers = {name: headers[name] for name in (ROUTING_KEY, LETTER_ID) if name in headers}
        if left_out := fit(properties, _restore(headers), self._link.frame_max()):
            raise Unwritable(f"too large to be sent: its headers {', '.join(left_out)}"[:_LONGEST])
        publish = self._giving.basic_publish(
            message.body, routing_key=queue, properties=properties, mandatory=True, timeout=self._link.timeout
        )
        await ask(publish, self._link.timeout)

    async def _acknowledge(self, message: aiormq.abc.DeliveredMessage) -> None:
        await ask(self._getting.basic_ack(message.delivery_tag or 0, wait=False), self._link.timeout)

    async def _give_back(self) -> None:
        # By basic.nack, not by closing the channel: RabbitMQ 4.3 does not count a nack as a delivery. In the order in
        # which they came, which the queue mostly keeps: RabbitMQ does not promise it.
        for tag in self._passed:
            await ask(self._getting.basic_nack(tag, requeue=True, wait=False), self._link.timeout)


def _restore(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The sender's headers, and the two by which the consumer restores routing key and missing id (`restored`)."""
    return {name: value for name, value in headers.items() if name not in _OWN | _COUNTS}


def restored(
    exchange: str | None, routing_key: str, message_id: str | None, headers: Mapping[str, Any]
) -> tuple[str, str | None, Mapping[str, Any]]:
    """Routing key, message id and headers of a message as its sender gave them, also after it was sent back.

    What was sent back comes by the default exchange, by which nobody binds; there the header counts.
    """
    key = headers.get(ROUTING_KEY)
    if exchange or not isinstance(key, str):
        return routing_key, message_id, headers
    own_id = headers.get(LETTER_ID)
    senders = {name: value for name, value in headers.items() if name not in {ROUTING_KEY, LETTER_ID}}
    return key, None if message_id == own_id else message_id, senders
