"""The wire format of results: CloudEvents 1.0 in structured JSON (config/reference.md, "Results on RabbitMQ")."""

from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import AwareDatetime, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json

from relay.model import ProblemKind, ProblemState, Result
from relay.units import iso


def encode(result: Result) -> bytes:
    """The CloudEvent of a result as compact JSON, UTF-8."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": result.id,
        "source": f"/relay/{result.source}",
        "type": result.type.value,
        "subject": result.event_id,
        "time": iso(result.time),
        "datacontenttype": "application/json",
    }
    if result.traceparent:
        event["traceparent"] = result.traceparent
    event["data"] = result.data
    return to_json(event)


class _Open(pydantic.BaseModel):
    """Allows extra fields at every level: a release may add fields, and readers must ignore those they do not know."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True, alias_generator=to_camel)


def _open_enum(*values: str) -> WithJsonSchema:
    """The values of this release, or any other string: readers must accept values that they do not know."""
    return WithJsonSchema({"anyOf": [{"enum": list(values)}, {"type": "string"}]})


class EventData(_Open):
    """The fields about the event that every result has."""

    source: str
    event_id: str
    external_id: str | None
    event_type: str | None
    correlation_id: str | None
    received_at: AwareDatetime


class DispatchData(EventData):
    """The fields that every result of a dispatch has. `labels` are those of its rule, each a text."""

    agent_uuid: str | None
    name: str | None
    rule: str
    dispatch_id: str
    run: Annotated[int, Field(ge=1)]
    attempts: Annotated[int, Field(ge=0)]
    labels: dict[str, Any]


class CreatedData(DispatchData):
    """The chat exists."""

    chat_uuid: str
    reconciled: bool
    created_at: AwareDatetime


class SentData(DispatchData):
    """The rule's first message is in the chat."""

    chat_uuid: str


class Fault(_Open):
    """`reason` is more specific than `code`; `status` is Cargo's HTTP status, if Cargo answered."""

    reason: str
    status: int | None
    message: str


class FailedFault(Fault):
    """Why the dispatch ended without the result that was asked for."""

    code: Annotated[str, _open_enum("failed", "expired", "cancelled", "superseded", "suppressed")]


class ParkedFault(Fault):
    """Why the dispatch waits for a person."""

    code: Annotated[str, _open_enum("unknown", "gave_up", "budget", "limit", "loop")]


class Cause(_Open):
    """What caused the end of a dispatch."""

    dispatch_id: str


class FailedData(DispatchData):
    """The dispatch ended without a chat. `by` is absent where no other dispatch caused it."""

    error: FailedFault
    by: Cause | None = None


class ParkedData(DispatchData):
    """The dispatch waits for a person."""

    error: ParkedFault


class UnsentData(SentData):
    """The chat exists, its first message does not."""

    error: FailedFault


class Skip(_Open):
    """A rule that matched the event and made no chat of it; `detail` is a text, or the body that a shadow rule made."""

    rule: str
    why: Annotated[str, _open_enum("ignored", "sampled", "unchanged", "stale", "shadow")]
    detail: Any


class UnmatchedData(EventData):
    """No rule made a chat of the event. `skips` is null where it cannot be decrypted."""

    skips: list[Skip] | None


class ProblemExample(_Open):
    """The latest event and dispatch of a problem, null where it has none."""

    event_id: str | None
    dispatch_id: str | None


class ProblemData(_Open):
    """A problem: what goes wrong in the same way, grouped. What does not apply is null."""

    id: str
    kind: Annotated[str, _open_enum(*ProblemKind)]
    source: str | None
    rule: str | None
    code: str | None
    detail: str | None
    state: Annotated[str, _open_enum(*ProblemState)]
    count: Annotated[int, Field(ge=1)]
    first_at: AwareDatetime
    last_at: AwareDatetime
    acknowledged_by: str | None
    example: ProblemExample


class _Envelope(_Open):
    specversion: Literal["1.0"]
    id: str
    source: Annotated[str, Field(pattern="^/relay/")]
    subject: str
    time: AwareDatetime
    datacontenttype: Literal["application/json"]
    traceparent: str | None = None


class ChatCreated(_Envelope):
    """`chat.created.<source>.<rule>`; id `<dispatch id>.<run>`."""

    type: Literal["relay.chat.created"]
    data: CreatedData


class ChatFailed(_Envelope):
    """`chat.failed.<source>.<rule>`; id `<dispatch id>.<run>`."""

    type: Literal["relay.chat.failed"]
    data: FailedData


class ChatParked(_Envelope):
    """`chat.parked.<source>.<rule>`; id `<dispatch id>.<run>.parked`."""

    type: Literal["relay.chat.parked"]
    data: ParkedData


class MessageSent(_Envelope):
    """`message.sent.<source>.<rule>`; id `<dispatch id>.<run>.message`."""

    type: Literal["relay.message.sent"]
    data: SentData


class MessageFailed(_Envelope):
    """`message.failed.<source>.<rule>`; id `<dispatch id>.<run>.message`."""

    type: Literal["relay.message.failed"]
    data: UnsentData


class EventUnmatched(_Envelope):
    """Sent only to a caller's reply queue: no rule made a chat of its event. Id `<event id>.unmatched`."""

    type: Literal["relay.event.unmatched"]
    data: UnmatchedData


class ProblemOpened(_Envelope):
    """`problem.opened.<kind>`; id `<problem id>.opened`, `source` is `/relay/_problems`.

    A budget that is used up after its problem was opened is told by a second one, id `<problem id>.spent`.
    """

    type: Literal["relay.problem.opened"]
    data: ProblemData


class ProblemResolved(_Envelope):
    """`problem.resolved.<kind>`; id `<problem id>.resolved`, `source` is `/relay/_problems`."""

    type: Literal["relay.problem.resolved"]
    data: ProblemData


PROBLEMS: Final = (ProblemOpened, ProblemResolved)
MESSAGES: Final = (ChatCreated, ChatFailed, ChatParked, MessageSent, MessageFailed, EventUnmatched, *PROBLEMS)
ResultMessage = Annotated[
    ChatCreated
    | ChatFailed
    | ChatParked
    | MessageSent
    | MessageFailed
    | EventUnmatched
    | ProblemOpened
    | ProblemResolved,
    Field(discriminator="type"),
]


def message_schemas(template: str) -> dict[str, Any]:
    """The schemas of all messages and of their parts, by name. `template` is pydantic's `ref_template`."""
    mode: Literal["validation"] = "validation"  # in this mode a field with a default is optional, as on the wire
    _, schema = models_json_schema([(model, mode) for model in MESSAGES], by_alias=True, ref_template=template)
    schemas: dict[str, Any] = schema["$defs"]
    return schemas


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of every message that Relay publishes, one alternative per type.

    Readers should look at `type` first and ignore what they do not know. Later releases then stay compatible.
    """
    schema = pydantic.TypeAdapter(ResultMessage).json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Relay result", **schema}
