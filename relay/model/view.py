"""Read-only views of the ledger for people and other programs, and the gauges behind the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.model.act import Act
from relay.model.dispatch import Failure
from relay.model.event import Event
from relay.model.hold import Held
from relay.model.labels import Labels, Outlet
from relay.model.result import Result
from relay.model.skip import Skip
from relay.model.state import EventStatus, ParkReason, State
from relay.model.version import RuleVersion


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A query for events, newest first. Fields that are None do not restrict it.

    `text` is searched in ids, type, subject and body. `since` (inclusive) and `until` (exclusive) restrict
    `received_at`, in milliseconds since the epoch. `state`, `rule` and `chat_uuid` select events of which one dispatch
    has all of those that are given.
    `label` selects events of which a dispatch has this label, a name and a value. `cursor` is the last id of the
    previous page. Events of the `closed` sources are found by neither text, subject nor label, but by ids.
    """

    source: str | None = None
    type: str | None = None
    status: EventStatus | None = None
    state: State | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    label: tuple[str, str] | None = None
    rule: str | None = None
    subject: str | None = None
    chat_uuid: str | None = None
    cursor: str | None = None
    limit: int = 50
    closed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DispatchView:
    """The present state of a dispatch. `due_at` and the other times are milliseconds since the epoch.

    In a list, `body`, `message` and `follow` are None, because a list does not read rendered texts.
    """

    id: str
    event_id: str
    rule: str
    source: str
    state: State
    run: int
    attempts: int
    chat_uuid: str | None
    agent_uuid: str | None
    name: str | None
    reconciled: bool
    duplicates: tuple[str, ...]
    body: str | None
    message: str | None
    failure: Failure | None
    park: ParkReason | None
    due_at: int | None
    created_at: int
    updated_at: int
    cancelling: bool = False
    held: Held | None = None
    follow: str | None = None
    labels: Labels | None = None
    outlet: Outlet | None = None
    rule_version: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One call to Cargo. `kind` is `chat`, `message` or `follow` (a message in the chat of a thread).

    `verdict` is None while it runs, or when a crash lost it.
    """

    dispatch_id: str
    run: int
    kind: str
    number: int
    started_at: int
    ended_at: int | None
    verdict: str | None
    failure: Failure | None
    chat_uuid: str | None


@dataclass(frozen=True, slots=True)
class ResultView:
    """A result and the state of its deliveries. The empty destination is the result exchange.

    `pending` maps each destination that is still due to its last error, None before the first try. `undeliverable`
    lists the destinations that were given up. `at` is when it was committed, in milliseconds since the epoch by the
    ledger's clock; the time of the result itself is by the clock of the replica that made it.
    """

    result: Result
    pending: Mapping[str, str | None]
    at: int
    undeliverable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of results. `cursor` requests the next page, None at the end."""

    results: tuple[ResultView, ...]
    cursor: int | None


@dataclass(frozen=True, slots=True)
class EventView:
    """One line of a list of events."""

    id: str
    source: str
    external_id: str | None
    type: str | None
    subject: str | None
    status: EventStatus
    received_at: int
    dispatches: tuple[DispatchView, ...]


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events. `cursor` requests the next page, None at the end. `notice` says what was not searched.

    A page may have few events and a cursor still, where the ledger would have to look for longer than a page may take.
    """

    events: tuple[EventView, ...]
    cursor: str | None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class EventDetail:
    """Everything that the ledger stores about one event. `versions` are those of the rules that decided, by hash."""

    event: Event
    status: EventStatus
    dispatches: tuple[DispatchView, ...]
    attempts: tuple[AttemptView, ...]
    results: tuple[ResultView, ...]
    skips: tuple[Skip, ...] = ()
    versions: Mapping[str, RuleVersion] = field(default_factory=dict)
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole refused request, which can be verified again until `expires_at` (milliseconds since the epoch).

    `url` is the one that the sender used. `headers` (lower-case names) include its credentials. `body` is the body as
    received. All three may hold credentials, so none of them is in the record's repr.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Metadata of a refused request, of bounded size.

    `id` is a UUIDv7. `at` is the time of the request, in milliseconds since the epoch. `headers` contain no secrets.
    `digest` is the SHA-256 of the body in hex. `kept` is the whole request, if it is kept.
    """

    id: str
    at: int
    source: str
    status: int
    reason: str
    hint: str
    remote: str | None
    headers: Mapping[str, str]
    size: int
    digest: str
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class RejectionView:
    """A refused request for display, without its `kept` part.

    `kept_until` is milliseconds since the epoch, None when the whole request is not kept. `readmitted` are the ids of
    the events that it became, None when it was not readmitted.
    """

    rejection: Rejection
    kept_until: int | None = None
    readmitted: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class RefusalGroup:
    """The refused requests of one source and reason: how many, how many of them are kept whole, and the newest."""

    source: str
    reason: str
    count: int
    kept: int
    newest: tuple[RejectionView, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The record of a message that went to the dead letters; RabbitMQ has the message itself.

    `id` is a UUIDv7, which the letter carries as the header `relay-id`. `at` and `requeued_at` are milliseconds since
    the epoch; `requeued_at` is None until the message was sent back to `queue`, from which it came. `reason` is a
    stable keyword, `error` text for people. `size` is in bytes, `digest` the SHA-256 of the body in hex. `headers`
    (lower-case names) contain no secrets and are bounded.
    """

    id: str
    at: int
    source: str
    queue: str
    reason: str
    error: str
    routing_key: str
    message_id: str | None
    type: str | None
    content_type: str | None
    headers: Mapping[str, str]
    size: int
    digest: str
    requeued_at: int | None = None


@dataclass(frozen=True, slots=True)
class DeadPage:
    """A page of dead letters. `cursor` requests the next page, None at the end."""

    letters: tuple[DeadLetter, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Gauges:
    """Numbers of the whole ledger, for the metrics.

    `oldest_due` is milliseconds. `due` is what more replicas could send now; `held` is what would be due, were sending
    not paused. `high_water` is how many `unfinished` dispatches stop the intake. `checking` is how many of these are
    looked for in Cargo's list. `parked` counts dispatches by reason.
    `paused` maps a reason to its start, in milliseconds since the epoch. `oldest_transaction` is the age of the oldest
    open transaction on PostgreSQL, in milliseconds.
    """

    due: int = 0
    oldest_due: int = 0
    held: int = 0
    unfinished: int = 0
    high_water: int = 100_000
    checking: int = 0
    unpublished: int = 0
    unroutable: int = 0
    parked: Mapping[str, int] = field(default_factory=dict)
    paused: Mapping[str, int] = field(default_factory=dict)
    oldest_transaction: int = 0
