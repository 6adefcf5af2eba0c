"""A received message, independent of the client library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Delivery:
    """`tag` is the delivery tag on its channel. The other fields are AMQP properties; `headers` keeps names as sent.

    `timestamp` is milliseconds since the epoch.
    """

    tag: int
    body: bytes
    routing_key: str = ""
    redelivered: bool = False
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    type: str | None = None
    app_id: str | None = None
    timestamp: int | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
