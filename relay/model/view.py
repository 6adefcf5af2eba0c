"""What people and other programs see of the ledger: read-only views and the gauges behind the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.model.dispatch import Failure
from relay.model.event import Event
from relay.model.result import Result
from relay.model.state import EventStatus, ParkReason, State


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to list, newest first. `text` is looked for in ids, type, subject and body.

    `since` and `until` are milliseconds since the epoch of `received_at`; `cursor` is the last id of the page before.
    `state` wants an event with at least one dispatch in that state.
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
    """A dispatch as it stands now. `due_at` and the other times are milliseconds since the epoch.

    `body` and `message` are None in a list, which does not read what was rendered.
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
    """One call to Cargo. `kind` is `chat` or `message`; `verdict` is None while it runs or was lost in a crash."""

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
    """A result and what became of it at each destination (`` is the exchange).

    `pending` maps a destination still due to its last error, None when it was not tried yet.
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
    """A page of events; `cursor` asks for the next one, None at the end. `notice` says what was not looked through."""

    events: tuple[EventView, ...]
    cursor: str | None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class EventDetail:
    """All that the ledger knows of one event."""

    event: Event
    status: EventStatus
    dispatches: tuple[DispatchView, ...]
    attempts: tuple[AttemptView, ...]
    results: tuple[ResultView, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """The whole of a refused request, so that it can be verified again, until `expires_at` (milliseconds).

    `url` is the one that the sender used, `headers` (lower-case names) hold what it proved itself by, `body` is what
    came over the wire. All three may hold credentials, so none of them is ever printed.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bounded metadata of a refused request; `headers` without secrets, `digest` the body's SHA-256 in hex.

    `id` is a UUIDv7, `at` when the request came, in milliseconds. `kept` is the request itself, where it is kept.
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
    """A refused request as people see it: without what was kept of it.

    `kept_until` is milliseconds, None when its body is not kept. `readmitted` are the ids of the events that it has
    become, None when it was not readmitted.
    """

    rejection: Rejection
    kept_until: int | None = None
    readmitted: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Gauges:
    """Ledger-wide numbers for the metrics. `oldest_due` is milliseconds; `paused` maps a reason to its start."""

    due: int = 0
    oldest_due: int = 0
    unfinished: int = 0
    checking: int = 0
    unpublished: int = 0
    unroutable: int = 0
    parked: Mapping[str, int] = field(default_factory=dict)
    paused: Mapping[str, int] = field(default_factory=dict)
