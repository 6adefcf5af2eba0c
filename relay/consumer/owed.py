"""Messages that were given back to the queue, and what became of their copies meanwhile."""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from relay.broker import Delivery

_MOST: Final = 10_000
_COUNTED: Final = ("x-delivery-count", "x-acquired-count", "x-opt-")
"""Headers that RabbitMQ changes from one delivery of a message to the next."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A message that was given back at `since`, seconds on the loop's clock."""

    delivery: Delivery
    since: float


class Owed:
    """Copies of what was given back. Nothing is consumed before they are settled.

    So the second delivery of a message is only for its acknowledgement, and it is never given back again: whether it
    `is_settled` is known without a look into the ledger, which may be away again by then. What is settled is
    remembered for `lifetime` seconds: for as long as the ledger knows the content of a message without an id.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._copies: deque[Copy] = deque()
        self._settled: OrderedDict[bytes, list[float]] = OrderedDict()

    def add(self, deliveries: Iterable[Delivery], now: float) -> None:
        """Keep copies, in the order in which they came."""
        self._copies.extend(Copy(delivery, now) for delivery in deliveries)

    def first(self) -> Copy | None:
        """The oldest that is not settled."""
        return self._copies[0] if self._copies else None

    def settle(self, now: float) -> None:
        """The first one is done with, whether or not it comes again."""
        key = fingerprint(self._copies.popleft().delivery)
        self._settled.setdefault(key, []).append(now)
        self._settled.move_to_end(key)
        while len(self._settled) > _MOST:
            self._settled.popitem(last=False)

    def drop(self) -> None:
        """The first one is to come again and to be judged anew."""
        self._copies.popleft()

    def clear(self) -> None:
        """Likewise all."""
        self._copies.clear()

    def is_settled(self, delivery: Delivery, now: float) -> bool:
        """Whether this is a message that was given back, and whose copy was settled; asked once per message."""
        if not self._settled or not delivery.redelivered:
            return False
        times = self._settled.pop(key := fingerprint(delivery), [])
        times = [time for time in times if now - time < self._lifetime]
        if times[1:]:
            self._settled[key] = times[1:]
        return bool(times)


def fingerprint(delivery: Delivery) -> bytes:
    """What is the same each time that the broker delivers a message: a digest of its properties and body."""
    headers = sorted((name, repr(value)) for name, value in delivery.headers.items() if not name.startswith(_COUNTED))
    properties = (
        delivery.routing_key,
        delivery.content_type,
        delivery.content_encoding,
        delivery.message_id,
        delivery.correlation_id,
        delivery.reply_to,
        delivery.type,
        delivery.app_id,
        delivery.timestamp,
    )
    return hashlib.sha256(repr((properties, headers)).encode() + b"\0" + delivery.body).digest()
