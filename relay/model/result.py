"""A result: the message that reports the outcome of a dispatch (config/reference.md, "Results on RabbitMQ")."""

from collections.abc import Mapping
from typing import Any, Final

from relay.model.frozen import frozen
from relay.model.word import Word


class ResultType(Word):
    """CloudEvents types of the messages that Relay publishes."""

    CREATED = "relay.chat.created"
    FAILED = "relay.chat.failed"
    PARKED = "relay.chat.parked"
    SENT = "relay.message.sent"
    UNSENT = "relay.message.failed"
    UNMATCHED = "relay.event.unmatched"
    OPENED = "relay.problem.opened"
    RESOLVED = "relay.problem.resolved"


@frozen
class About:
    """The description of an event in its results. `received_at` is milliseconds since the epoch."""

    event_id: str
    source: str
    external_id: str | None
    event_type: str | None
    correlation_id: str | None
    reply_to: str | None
    traceparent: str | None
    received_at: int


@frozen
class Result:
    """One result message. Its `id` is deterministic, so that a consumer can drop repeated deliveries.

    `data` is the complete CloudEvents `data`. `time` is milliseconds since the epoch. `routing_key` is None for
    `relay.event.unmatched`, which is sent only to `reply_to`. `exchange` is its rule's own exchange, None
    for the result exchange. `event_id` is what it is about: the id of the problem in a result that tells of one.
    """

    id: str
    type: ResultType
    source: str
    event_id: str
    time: int
    routing_key: str | None
    data: Mapping[str, Any]
    dispatch_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    traceparent: str | None = None
    chat_uuid: str | None = None
    exchange: str | None = None


@frozen
class Due:
    """One delivery that is due: a result and one destination, leased to a publisher.

    `destination` is empty for the result's exchange, else the name of the reply queue. `tries` counts from 0.
    `age` is milliseconds since the result was committed.
    """

    result: Result
    destination: str
    tries: int
    age: int


UNROUTABLE: Final = "unroutable"
"""The prefix of a delivery's error when the broker returned it because no queue was bound."""


@frozen
class Settled:
    """The outcome of a Due: confirmed or undeliverable, which end it; else it is due again in `retry_in` ms."""

    result_id: str
    destination: str
    confirmed: bool
    undeliverable: bool = False
    retry_in: int = 0
    error: str | None = None
