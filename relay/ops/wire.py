"""The JSON of the API as pydantic models: camelCase keys, times as ISO 8601 in UTC. `openapi.json` is made from them.

Within a version, fields are only added.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from relay.model import EventStatus, HeldBy, ParkReason, State, Why

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-23T09:00:00.000Z"])]


class Wire(BaseModel):
    """The base of all documents."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class OpenDocument(Wire):
    """A document that may have more keys than are listed here."""

    model_config = ConfigDict(extra="allow")


class ProblemDetails(OpenDocument):
    """An error (RFC 9457). `detail` says what happened and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class FaultyKey(Wire):
    """A fault of the configuration, with its place if it has one. `text` is the whole in one line."""

    file: str | None
    line: int | None
    column: int | None
    key: str | None
    message: str
    hint: str | None
    text: str


class FaultyConfiguration(ProblemDetails):
    """A configuration or a rule is refused: all its faults."""

    faults: list[FaultyKey]


class Fault(Wire):
    """The reason of a failure. `status` is Cargo's HTTP status."""

    code: str
    message: str
    status: int | None


class HeldBack(Wire):
    """Why a dispatch is held: the key of its rule, or `pause`. `key` is the key as rendered.

    `until` is null where only another dispatch or a person ends it. `cause` is the dispatch that it waits for.
    """

    by: HeldBy
    key: str | None
    until: Moment | None
    cause: str | None


class LeftOut(Wire):
    """A label that could not be rendered, and why."""

    label: str
    why: str


class ResultOutlet(Wire):
    """Where the results of a dispatch go in place of the result exchange; `routingKey` is null for the usual one."""

    exchange: str
    routing_key: str | None


class Dispatch(Wire):
    """The chat to make by one rule for one event. `parked` says why it waits for a person.

    `result` is where its results go, null for the result exchange.
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
    duplicates: list[str]
    cancelling: bool
    failure: Fault | None
    parked: ParkReason | None
    held: HeldBack | None
    due_at: Moment | None
    created_at: Moment
    updated_at: Moment
    labels: dict[str, str]
    left_out: list[LeftOut]
    result: ResultOutlet | None


class KeptVersion(Wire):
    """A rule as it was when it decided: `text` is YAML, with the constants that it names under `vars`."""

    hash: str
    text: str


class DispatchDetail(Dispatch):
    """A dispatch with its request to Cargo: `request` is the body of `POST /ai/chats` without the stamp.

    `follow` is what it says in place of `message` where it goes on in the chat of its thread. `ruleVersion` is the rule
    as it was then; null for a dispatch of a release that did not keep it.
    """

    request: Any = None
    message: str | None
    follow: str | None = None
    rule_version: KeptVersion | None = None


class Started(Wire):
    """A dispatch after a retry or a cancel."""

    id: str
    event_id: str
    source: str
    rule: str
    state: State
    run: int


class Attempt(Wire):
    """One call to Cargo. `kind` is `chat`, `message` or `follow` (a message in the chat of a thread).

    `verdict` is null while it runs, or when a crash lost it.
    """

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
    """A result message. `pending` maps each destination that has not confirmed it to its last error.

    The destination `exchange` is the result exchange, or the one in `exchange`. Any other destination is a reply queue.
    """

    id: str
    type: str
    time: Moment
    exchange: str | None
    routing_key: str | None
    data: Any
    pending: dict[str, str | None]
    undeliverable: list[str]


class ResultPage(Wire):
    """A page of results. `cursor` asks for the next page; null at the end."""

    results: list[ResultState]
    cursor: str | None


class Step(Wire):
    """One line of an event's timeline."""

    at: Moment
    what: str
    dispatch_id: str | None
    rule: str | None
    detail: str | None


class Skip(Wire):
    """A rule that matched an event and made no dispatch of it.

    `detail` is a text, for `shadow` the body that would have been sent.
    """

    rule: str
    why: Why
    detail: Any


class Event(Wire):
    """An event in a list."""

    id: str
    source: str
    external_id: str | None
    type: str | None
    subject: str | None
    status: EventStatus
    received_at: Moment
    dispatches: list[Dispatch]


class EventDetail(Wire):
    """An event with everything that belongs to it. `raw` is its body as text; `rawBase64` when the body is not text.

    `hidden` are the paths whose values are `***` for who asks, wherever they occur; then it has neither of the two.
    """

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
    hidden: list[str]
    unreadable: str | None
    correlation_id: str | None
    reply_to: str | None
    traceparent: str | None
    timeline: list[Step]
    skips: list[Skip]
    dispatches: list[DispatchDetail]
    attempts: list[Attempt]
    results: list[ResultState]


class EventPage(Wire):
    """Events, newest first. `cursor` requests the next page, and is null at the end: a page before it may be empty.

    `notice` says what `text` or `label` was not searched for in, because it is encrypted or hidden, and how far back a
    page looked that did not look at all older events (`type`, `subject`, `text`, `rule`); else null.
    """

    events: list[Event]
    cursor: str | None
    notice: str | None = None


class Rejection(Wire):
    """A refused request. `digest` is the SHA-256 of the body in hex, `hint` the likely cause.

    `kept` says that the request can be verified again, until `keptUntil`. `readmitted` are the ids of the events that
    it was accepted as since then, null when it was not.
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


class DeadLetter(Wire):
    """The record of a message that went to `relay.dead`; `digest` is the body's SHA-256 in hex.

    `requeuedAt` is when it was last sent back to its queue, null when it was not.
    """

    id: str
    at: Moment
    source: str
    queue: str
    reason: str
    error: str
    routing_key: str
    message_id: str | None
    type: str | None
    content_type: str | None
    headers: dict[str, str]
    size: int
    digest: str
    requeued_at: Moment | None


class DeadPage(Wire):
    """Records of dead letters, newest first; `cursor` asks for the next page, null at the end."""

    dead: list[DeadLetter]
    cursor: str | None


class SentBack(Wire):
    """A dead letter that was sent back to `queue`; `id` is null for one that no relay published."""

    id: str | None
    source: str
    queue: str


class Stays(SentBack):
    """A dead letter that could not be sent back, and why."""

    error: str


class Requeued(Wire):
    """What became of dead letters; `missing` are the ids that are not in the queue `relay.dead` now."""

    requeued: list[SentBack]
    refused: list[Stays]
    missing: list[str]


class Judged(Wire):
    """A refused request that was verified again. `at` is the time when it arrived.

    `events` are the ids of the events that it was accepted as; for a `duplicate` those of the first events. `reason`
    and `hint` say why it was refused again.
    """

    id: str
    at: Moment
    verdict: Literal["readmitted", "duplicate", "refused"]
    reason: str | None
    hint: str | None
    events: list[str]


class Readmission(Wire):
    """The outcome for the refused requests of a source, oldest first. Neither number counts duplicates."""

    readmitted: int
    refused: int
    requests: list[Judged]


class Added(Wire):
    """A dispatch that a replay added."""

    id: str
    rule: str


class Replayed(Wire):
    """The dispatches that a replay added; none when every matching rule has already made its chat."""

    dispatches: list[Added]
