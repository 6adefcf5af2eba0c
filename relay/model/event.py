"""An event as it came in, the entry that the ledger commits for it, and the receipt that the sender gets."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from relay.model.dispatch import Dispatch
from relay.model.frozen import frozen
from relay.model.result import About, Result
from relay.model.state import EventStatus


@frozen
class Event:
    """One thing that happened, as it came in.

    `id` is ours (UUIDv7); (`source`, `origin`, `external_id`) is its identity: `origin` is the CloudEvents `source`
    or AMQP `app_id`, `external_id` the sender's id. `digest` is the SHA-256 of the raw bytes. Times are
    milliseconds since the epoch, UTC. `headers` have lower-case names and no secrets. `data` is the parsed body
    (for CloudEvents its `data`); None and `unreadable` set (why) when the body could not be parsed.
    `redelivered` is the broker's flag: the message may have been delivered before, on another channel. `session` and
    `delivery` name the channel on which it came and its tag there: the same ones again are the same message.
    `verbatim` says that `data` is just what `raw` parses to as UTF-8 JSON, so that it need not be kept twice. `repeat`
    is a second identity (a SHA-256), of what the sender signed: where it does not sign the id, the same under another
    id is the same event; with `twins` it is another one under another type. `remember` is for how many milliseconds it
    is known when that is less than the ledger does by itself: where its id is a hash of the body, another event may
    have the same body later.
    """

    id: str
    source: str
    external_id: str | None
    type: str | None
    data: Any
    raw: bytes
    digest: bytes
    received_at: int
    origin: str | None = None
    subject: str | None = None
    time: int | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    traceparent: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    redelivered: bool = False
    session: str | None = None
    delivery: int | None = None
    unreadable: str | None = None
    verbatim: bool = False
    repeat: bytes | None = None
    twins: bool = False
    remember: int | None = None

    def about(self) -> About:
        return About(
            event_id=self.id,
            source=self.source,
            external_id=self.external_id,
            event_type=self.type,
            correlation_id=self.correlation_id,
            reply_to=self.reply_to,
            traceparent=self.traceparent,
            received_at=self.received_at,
        )


@frozen
class Entry:
    """What the ledger commits for one event: the event, its dispatches, and the results due at once.

    `results` are those of dispatches that ended while being accepted (a rendering error) and `relay.event.unmatched`.
    """

    event: Event
    status: EventStatus
    dispatches: tuple[Dispatch, ...] = ()
    results: tuple[Result, ...] = ()


@frozen
class Receipt:
    """What became of one event of a delivery.

    For a duplicate, `id` and `dispatches` are those of the first one; `conflict` says that its body differed,
    `repeated` that its id was new and what its sender signed was not.
    `dispatches` are pairs of dispatch id and rule name.
    """

    id: str
    external_id: str | None
    status: EventStatus
    type: str | None
    dispatches: tuple[tuple[str, str], ...] = ()
    conflict: bool = False
    repeated: bool = False
