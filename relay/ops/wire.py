"""The JSON of the API as pydantic models: camelCase keys, times as ISO 8601 in UTC. `openapi.json` is made of them.

Within a version, fields are only added.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from relay.model import EventStatus, ParkReason, State

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-23T09:00:00.000Z"])]


class Wire(BaseModel):
    """What all documents have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Open(Wire):
    """A document that may say more than is listed here."""

    model_config = ConfigDict(extra="allow")


class Problem(Open):
    """An error (RFC 9457): what happened and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Fault(Wire):
    """Why something did not work; `status` is Cargo's."""

    code: str
    message: str
    status: int | None


class Dispatch(Wire):
    """The chat that one rule wants for one event. `parked` says why it waits for a person."""

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
    duplicates: list[str]
    cancelling: bool
    failure: Fault | None
    parked: ParkReason | None
    due_at: Moment | None
    created_at: Moment
    updated_at: Moment


class DispatchDetail(Dispatch):
    """A dispatch with what Cargo is asked for: `request` is the body of `POST /ai/chats` without the stamp."""

    request: Any = None
    message: str | None


class Started(Wire):
    """A dispatch after a retry or a cancel."""

    id: str
    event_id: str
    source: str
    rule: str
    state: State
    run: int


class Attempt(Wire):
    """One call to Cargo; `kind` is `chat` or `message`, `verdict` null while it runs or was lost in a crash."""

    dispatch_id: str
    run: int
    kind: str
    number: int
    started_at: Moment
    ended_at: Moment | None
    verdict: str | None
    failure: Fault | None
    chat_uuid: str | None


class ResultState(Wire):
    """A result message; `pending` maps each destination that has not confirmed it to its last error.

    The destination `exchange` is the result exchange, any other a reply queue.
    """

    id: str
    type: str
    time: Moment
    data: Any
    pending: dict[str, str | None]
    undeliverable: list[str]


class Step(Wire):
    """One line of an event's timeline."""

    at: Moment
    what: str
    dispatch_id: str | None
    rule: str | None
    detail: str | None


class Event(Wire):
    """An event as a line of a list."""

    id: str
    source: str
    external_id: str | None
    type: str | None
    subject: str | None
    status: EventStatus
    received_at: Moment
    dispatches: list[Dispatch]


class EventDetail(Wire):
    """All that is known of an event. `raw` is its body as text, or `rawBase64` when it is none."""

    id: str
    source: str
    origin: str | None
    external_id: str | None
    type: str | None
    subject: str | None
    time: Moment | None
    status: EventStatus
    received_at: Moment
    content_type: str
    headers: dict[str, str]
    data: Any
    raw: str | None
    raw_base64: str | None
    unreadable: str | None
    correlation_id: str | None
    reply_to: str | None
    traceparent: str | None
    timeline: list[Step]
    dispatches: list[DispatchDetail]
    attempts: list[Attempt]
    results: list[ResultState]


class EventPage(Wire):
    """Events, newest first; `cursor` asks for the next page, null at the end.

    `notice` says what `text` was not looked for in, because it is encrypted; else null.
    """

    events: list[Event]
    cursor: str | None
    notice: str | None = None


class Rejection(Wire):
    """A refused request; `digest` is the body's SHA-256 in hex, `hint` the likely cause.

    `kept` says that the request can be judged again, until `keptUntil`; `readmitted` are the ids of the events that it
    has become since, null when it has not.
    """

    id: str
    at: Moment
    source: str
    status: int
    reason: str
    hint: str
    remote: str | None
    headers: dict[str, str]
    size: int
    digest: str
    kept: bool
    kept_until: Moment | None
    readmitted: list[str] | None


class Rejections(Wire):
    """Refused requests, newest first."""

    rejected: list[Rejection]


class Judged(Wire):
    """A refused request that was judged again; `at` is when it came.

    `events` are the ids of those it has become, of the first ones for a `duplicate`. `reason` and `hint` say why it was
    refused again.
    """

    id: str
    at: Moment
    verdict: Literal["readmitted", "duplicate", "refused"]
    reason: str | None
    hint: str | None
    events: list[str]


class Readmission(Wire):
    """What became of the refused requests of a source, oldest first; a duplicate counts in neither number."""

    readmitted: int
    refused: int
    requests: list[Judged]


class Added(Wire):
    """A dispatch that a replay added."""

    id: str
    rule: str


class Replayed(Wire):
    """What a replay added; empty when every rule that matches has made its chat already."""

    dispatches: list[Added]


class Source(Open):
    """A way in. `type` is `webhook` (then `path`) or `amqp` (then `queue`).

    `learned` says that it verifies by a secret that a handshake brought.
    """

    name: str
    type: str
    scheme: str | None = None
    path: str | None = None
    queue: str | None = None
    paused: bool = False
    learned: bool = False
    last_event_at: Moment | None = None


class Sources(Wire):
    """The configured sources."""

    sources: list[Source]


class SourceState(Wire):
    """A source after it was paused or resumed."""

    name: str
    paused: bool


class Forgotten(Wire):
    """Whether there was a learned secret to forget."""

    forgotten: bool


class LearnedSecret(Wire):
    """The secret that a handshake brought."""

    secret: Annotated[str, Field(repr=False)]


class Rule(Open):
    """A rule as configured."""

    name: str
    sources: list[str] = []
    types: list[str] = []
    when: str | None = None
    stop: bool = False


class Rules(Wire):
    """The rules, in the order in which they are tried."""

    rules: list[Rule]


class Verdict(Open):
    """What one rule makes of an event: whether it matches, else why not, and what Cargo would get."""

    rule: str
    matched: bool
    why: str | None = None
    body: Any = None
    message: str | None = None
    failure: Any = None


class Tried(Open):
    """One event of a delivery and every rule's verdict."""

    event: dict[str, Any]
    rules: list[Verdict]


class Trial(Open):
    """The outcome of a dry run: nothing was kept, nothing was sent."""

    events: list[Tried]
