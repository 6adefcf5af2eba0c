"""Read-only views of the ledger for people and other programs, and the gauges behind the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.model.dispatch import Failure
from relay.model.event import Event
from relay.model.result import Result
from relay.model.state import EventStatus, ParkReason, State


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A query for events, newest first. Fields that are None do not restrict it.

    `text` is searched in ids, type, subject and body. `since` (inclusive) and `until` (exclusive) restrict
    `received_at`, in milliseconds since the epoch. `state` selects events with at least one dispatch in that state.
    `cursor` is the last id of the previous page.
    """

    source: str | None = None
    type: str | None = None
    status: EventStatus | None = None
    state: State | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class DispatchView:
    """The present state of a dispatch. `due_at` and the other times are milliseconds since the epoch.

    In a list, `body` and `message` are None, because a list does not read rendered texts.
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


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One call to Cargo. `kind` is `chat` or `message`; `verdict` is None while it runs, or when a crash lost it."""

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
    lists the destinations that were given up.
    """

    result: Result
    pending: Mapping[str, str | None]
    undeliverable: tuple[str, ...] = ()


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
    """A page of events. `cursor` requests the next page, None at the end. `notice` says what was not searched."""

    events: tuple[EventView, ...]
    cursor: str | None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class EventDetail:
    """Everything that the ledger stores about one event."""

    event: Event
    status: EventStatus
    dispatches: tuple[DispatchView, ...]
    attempts: tuple[AttemptView, ...]
    results: tuple[ResultView, ...]


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
class Gauges:
    """Numbers of the whole ledger, for the metrics.

    `oldest_due` is milliseconds. `parked` counts dispatches by reason. `paused` maps a reason to its start, in
    milliseconds since the epoch.
    """

    due: int = 0
    oldest_due: int = 0
    unfinished: int = 0
    checking: int = 0
    unpublished: int = 0
    unroutable: int = 0
    parked: Mapping[str, int] = field(default_factory=dict)
    paused: Mapping[str, int] = field(default_factory=dict)
