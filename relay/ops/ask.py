"""The query parameters and request bodies of the API, as pydantic models that reject unknown keys."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, WithJsonSchema

from relay.depth import OWN, TooDeep, load
from relay.errors import NotFound
from relay.model import Erasure, EventQuery, EventStatus, ProblemKind, ProblemQuery, ProblemState, State
from relay.ops.problem import BadRequest
from relay.units import duration, parse_iso

Model = TypeVar("Model", bound=BaseModel)
_AGO: Final = re.compile(r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d)$")
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Moment = Annotated[
    str,
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "pattern": _AGO.pattern}]}),
]
Cursor = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="the `cursor` of the previous page; without it the newest page",
    ),
]
LABEL: Final = re.compile(r"^([a-z0-9][a-z0-9-]{0,62}):([^\x00]{0,500}[^\x00\s][^\x00]{0,500})$")
"""A name and a value, in which a line break may stand."""
_ID: Final = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_LAST_CURSOR: Final = (1 << 63) - 1
_STATUSES: Final = sorted({*EventStatus} - {EventStatus.DUPLICATE} | {*State})


class Ask(BaseModel):
    """Rejects unknown keys, because a mistyped filter would otherwise return unfiltered results."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EmptyAsk(Ask):
    """No parameters."""


class EventsAsk(Ask):
    """The filters of a list of events. An event must match all of them."""

    source: Annotated[Words | None, Field(description="the name of a source")] = None
    type: Annotated[Words | None, Field(description="the event's type, in full")] = None
    status: Annotated[
        str | None,
        Field(
            description="the status of the event, or the state of one of its dispatches",
            json_schema_extra={"enum": _STATUSES},
        ),
    ] = None
    since: Annotated[Moment | None, Field(description="an ISO 8601 time, or how long ago, for example 1h")] = None
    until: Annotated[Moment | None, Field(description="an ISO 8601 time, or how long ago, for example 15m")] = None
    text: Annotated[
        Words | None, Field(description="text to search for in ids, type, subject and (unencrypted) body")
    ] = None
    label: Annotated[
        str | None,
        Field(
            description="a label of one of its dispatches, as customer:Acme",
            json_schema_extra={"pattern": LABEL.pattern},
        ),
    ] = None
    rule: Annotated[
        Words | None, Field(description="the rule of one of its dispatches, in the state `status` if given")
    ] = None
    subject: Annotated[Words | None, Field(description="the event's subject, in full")] = None
    chat: Annotated[Words | None, Field(description="the UUID of a chat that was made of it")] = None
    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=500, description="the maximum number of events on a page")] = 50

    def query(self, now: int) -> EventQuery:
        """The ledger's query. `now` is milliseconds since the epoch. Raises BadRequest."""
        status, state = _split(self.status)
        return EventQuery(
            source=self.source,
            type=self.type,
            status=status,
            state=state,
            since=read_moment("since", self.since, now),
            until=read_moment("until", self.until, now),
            text=self.text,
            label=read_label(self.label),
            rule=self.rule,
            subject=self.subject,
            chat_uuid=self.chat,
            cursor=self.cursor,
            limit=self.limit,
        )


class NewerAsk(EventsAsk):
    """The filters of a list of events, and the newest id that is known."""

    after: Annotated[Cursor | None, Field(description="the newest id that is known; without it all are new")] = None


class ResultsAsk(Ask):
    """Where the stream of results starts, and whether it continues."""

    after: Annotated[
        str | None,
        Field(
            pattern=r"^(latest|[0-9]{1,19})$",
            description="the cursor (`id:`) of the last result received, or `latest`; default: the oldest result kept",
        ),
    ] = None
    follow: Annotated[bool, Field(description="0 ends the stream after the latest result")] = True


class RejectedAsk(Ask):
    """The filters of a list of refused requests."""

    source: Annotated[Words | None, Field(description="the name of a source")] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="the maximum number of requests")] = 100


class RefusalsAsk(Ask):
    """The filter of a page of refused requests by source and reason."""

    source: Annotated[Words | None, Field(description="the name of a source")] = None


class DeadAsk(Ask):
    """Which dead letters."""

    source: Annotated[Words | None, Field(description="the name of a source")] = None
    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=500, description="the most letters of one page")] = 50


class ProblemsAsk(Ask):
    """The filters of a list of problems. A problem must match all of them."""

    kind: Annotated[ProblemKind | None, Field(description="the kind")] = None
    state: Annotated[ProblemState | None, Field(description="the state; default: all")] = None
    source: Annotated[Words | None, Field(description="the name of a source")] = None
    rule: Annotated[Words | None, Field(description="the name of a rule")] = None
    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=500, description="the maximum number of problems on a page")] = 50

    def query(self) -> ProblemQuery:
        """The ledger's query."""
        return ProblemQuery(self.kind, self.state, self.source, self.rule, self.cursor, self.limit)


class ActsAsk(Ask):
    """Which acts."""

    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=500, description="the maximum number of acts on a page")] = 50


class ToldAsk(Ask):
    """Which results."""

    cursor: Annotated[int | None, Field(ge=0, le=_LAST_CURSOR, description="the cursor of the previous page")] = None
    limit: Annotated[int, Field(ge=1, le=500, description="the maximum number of results on a page")] = 50


class WaitingAsk(Ask):
    """How many results that wait."""

    limit: Annotated[int, Field(ge=1, le=500, description="the maximum number of results")] = 50


class RequeueAsk(Ask):
    """Which dead letters to send back; without `ids` all, with `source` only those of this source."""

    ids: Annotated[list[Words] | None, Field(min_length=1, max_length=1000)] = None
    source: Words | None = None


class ReadmitAsk(Ask):
    """How to verify refused requests again."""

    dry_run: Annotated[bool, Field(alias="dryRun", description="verify only, without accepting anything")] = False


class ReplayAsk(Ask):
    """How to replay an event."""

    again: Annotated[
        bool, Field(strict=True, description="include rules that already made, or may have made, a chat")
    ] = False


def _given(key: str) -> dict[str, Any]:
    """The schema of an object that has this key."""
    return {"required": [key], "properties": {key: {"type": "string"}}}


class EraseAsk(Ask):
    """Which events to erase: those with this subject, label (as customer:Acme) or sender's id; give one of them."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_given(key) for key in ("subject", "label", "externalId")]})

    subject: Words | None = None
    label: Annotated[str | None, Field(json_schema_extra={"pattern": LABEL.pattern})] = None
    external_id: Annotated[Words | None, Field(alias="externalId")] = None
    source: Annotated[Words | None, Field(description="only events of this source")] = None

    def erasure(self) -> Erasure:
        """What is asked for. Raises BadRequest."""
        if [self.subject, self.label, self.external_id].count(None) != 2:
            raise BadRequest("give one of subject, label and externalId, and a source if only its events are meant")
        return Erasure(self.subject, read_label(self.label, "key"), self.external_id, self.source)


class RetryAsk(Ask):
    """How to retry a dispatch."""

    render: Annotated[
        bool,
        Field(strict=True, description="render it again with the current rule; default: send the stored body again"),
    ] = False


_EITHER: Final[list[JsonValue]] = [
    {"required": ["source"], "properties": {"source": {"type": "string"}}, "not": {"required": ["event"]}},
    {
        "required": ["event"],
        "properties": {"event": {"type": "string"}},
        "not": {"anyOf": [{"required": [name]} for name in ("source", "headers", "body")]},
    },
]


class TryAsk(Ask):
    """A delivery to try, or the id of a stored event. A `body` that is not a string is sent as its JSON text.

    With `rule` only that is tried: one rule as YAML, in place of those in force.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": _EITHER})

    source: Words | None = None
    event: Annotated[Words | None, Field(description="the id of an event, instead of a delivery")] = None
    rule: Annotated[str | None, Field(max_length=100_000, description="a rule as YAML; needs the role operate")] = None
    headers: dict[str, str] = {}
    body: Any = None

    def raw(self) -> bytes:
        """The body of the delivery. Raises BadRequest."""
        try:
            text = self.body if isinstance(self.body, str) else json.dumps(self.body, allow_nan=False)
            return text.encode()
        except ValueError as error:
            raise BadRequest(f"key body: cannot be written as JSON: {error}") from None


def read_query(request: web.Request, model: type[Model]) -> Model:
    """The query parameters. Raises BadRequest, which names each wrong parameter."""
    repeated = sorted({name for name in request.query if len(request.query.getall(name)) > 1})
    if repeated:
        raise BadRequest(f"query parameter {repeated[0]} is given twice; give it once")
    return _validate(model, dict(request.query), "query parameter")


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """The JSON body; an empty body counts as an empty object. Raises BadRequest, which names each wrong key."""
    raw = await request.read()
    try:
        document = load(raw or b"{}", OWN)
    except TooDeep:
        raise BadRequest(f"the body is nested more than {OWN} levels deep; flatten it") from None
    except ValueError:
        raise BadRequest("the body is not JSON; send an object, for example {}") from None
    if not isinstance(document, dict):
        raise BadRequest("the body is not a JSON object; send an object, for example {}")
    return _validate(model, document, "key")


def read_id(request: web.Request) -> str:
    """The id in the path. Raises NotFound when it does not have the form of an id."""
    text = request.match_info["id"]
    if _ID.fullmatch(text) is None:
        raise NotFound("there is no event or dispatch with this id")
    return text


def read_cursor(text: str | None) -> int | None:
    """The cursor of a result, None when it is not given. Raises BadRequest."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) > _LAST_CURSOR:
        raise BadRequest(f"Last-Event-ID or after: {text[:40]!r} is not a cursor; send the last `id:` of the stream")
    return int(text)


def _validate(model: type[Model], document: Mapping[str, Any], kind: str) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        allowed = ", ".join(field.alias or name for name, field in model.model_fields.items())
        raise BadRequest("; ".join(_fault(fault, kind, allowed) for fault in error.errors())) from None


def _fault(fault: Any, kind: str, allowed: str) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{kind} {name}: unknown; allowed: {allowed or 'none'}"
    message = fault["msg"]
    return f"{kind} {name}: {message[:1].lower()}{message[1:]}"


def _split(status: str | None) -> tuple[EventStatus | None, State | None]:
    if status is None:
        return None, None
    if status not in _STATUSES:
        raise BadRequest(
            f"query parameter status: {status[:40]!r} is not a status; expected one of {', '.join(_STATUSES)}"
        )
    return (EventStatus(status), None) if status in set(EventStatus) else (None, State(status))


def read_label(text: str | None, place: str = "query parameter") -> tuple[str, str] | None:
    """The name and the value of a label. Raises BadRequest."""
    if text is None:
        return None
    match = LABEL.fullmatch(text)
    if match is None:
        raise BadRequest(f"{place} label: is no label; write its name, a colon and its value: customer:Acme")
    return match[1], match[2]


def read_moment(name: str, text: str | None, now: int, place: str = "query parameter") -> int | None:
    """A time in milliseconds since the epoch. Raises BadRequest."""
    if text is None:
        return None
    try:
        return max(0, now - duration(text) if _AGO.fullmatch(text) else parse_iso(text.upper()))
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{place} {name}: {text[:40]!r} is not a time; write 1h or 2026-11-23T09:00:00Z (write + as %2B)"
        ) from None
