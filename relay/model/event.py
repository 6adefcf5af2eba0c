"""An event, the entry that the ledger commits for it, and the receipt that its sender gets."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from relay.model.dispatch import Dispatch
from relay.model.frozen import frozen
from relay.model.result import About, Result
from relay.model.skip import Skip
from relay.model.state import EventStatus


@frozen
class Event:
    """An event as it was received.

    - `id` is Relay's id, a UUIDv7.
    - (`source`, `origin`, `external_id`) is its identity. `origin` is the CloudEvents `source` or the AMQP `app_id`,
      `external_id` the sender's id.
    - `digest` is the SHA-256 of `raw`, the bytes of the body.
    - `time` (by the sender) and `received_at` are milliseconds since the epoch, UTC.
    - `headers` have lower-case names and contain no secrets.
    - `data` is the parsed body; for CloudEvents, their `data`. When the body could not be parsed it is None, and
      `unreadable` says why.
    - `redelivered` is the broker's flag that the message may have been delivered before, on another channel.
    - `session` and `delivery` name the channel on which the message came and its tag there: the same pair is the same
      message.
    - `verbatim` says that `raw` parses as UTF-8 JSON to `data`, so that `data` need not be stored as well.
    - `repeat` is a second identity, the SHA-256 of what the sender signed, for senders that do not sign the id: the
      same content with another id is the same event. With `twins` it is another event if its type differs.
    - `remember` limits, in milliseconds, how long the id is known, where that is shorter than the ledger's time: where
      the id is a hash of the body, another event may have the same body later.
    - `traceparent` is the event's own span, `caller` that of its sender, if it had one, which is not kept.
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
    caller: str | None = field(default=None, compare=False)

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
    """The unit that the ledger commits for one event: the event, its dispatches and its first results.

    `results` are those of dispatches that ended while being accepted (a rendering error), and `relay.event.unmatched`.
    `skips` are the rules that made no dispatch of it although they matched. `cancels` are pairs of a rule and a key:
    what it cancels while that is held (`delay` with `unless`). `former_cancels` are the same with the hash of a version
    of the rule that is not in force any more: it cancels only what that version decided. `rule_set` is the hash of the
    versions of all rules that decided it, None where they are not kept.
    """

    event: Event
    status: EventStatus
    dispatches: tuple[Dispatch, ...] = ()
    results: tuple[Result, ...] = ()
    skips: tuple[Skip, ...] = ()
    cancels: tuple[tuple[str, str], ...] = ()
    rule_set: str | None = None
    former_cancels: tuple[tuple[str, str, str], ...] = ()


@frozen
class Receipt:
    """The outcome for one event of a delivery.

    `dispatches` are pairs of dispatch id and rule name. For a duplicate, `id` and `dispatches` are those of the first
    event; `conflict` says that its body differed, `repeated` that its id was new but its signed content was not.
    `entry` is what was stored of a new event, which the keys of rules may have changed. `cancelled` are the dispatches
    that it ended while they were held.
    """

    id: str
    external_id: str | None
    status: EventStatus
    type: str | None
    dispatches: tuple[tuple[str, str], ...] = ()
    conflict: bool = False
    repeated: bool = False
    entry: Entry | None = None
    cancelled: tuple[Dispatch, ...] = ()
