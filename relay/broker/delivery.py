"""A received message, independent of the client library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Delivery:
    """`tag` is the delivery tag on its channel, `session` names that channel among all there ever were; `redelivered`
    is the broker's flag, `again` says that it was tried before on this side. The rest are AMQP's properties, `headers`
    with the names as sent.

    `timestamp` is milliseconds since the epoch. `dropped` names the headers and properties that could not be read.
    """

    tag: int
    body: bytes
    routing_key: str = ""
    redelivered: bool = False
    again: bool = False
    session: str = ""
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    type: str | None = None
    app_id: str | None = None
    timestamp: int | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
