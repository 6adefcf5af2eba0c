"""What may be asked of the API: query parameters and request bodies, as pydantic models that refuse what they
do not know."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, WithJsonSchema

from relay.depth import OWN, TooDeep, load
from relay.errors import NotFound
from relay.model import EventQuery, EventStatus, State
from relay.ops.problem import BadRequest
from relay.units import duration, parse_iso

Model = TypeVar("Model", bound=BaseModel)
_AGO: Final = re.compile(r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d)$")
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Moment = Annotated[
    str,
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "pattern": _AGO.pattern}]}),
]
_ID: Final = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_LAST_CURSOR: Final = (1 << 63) - 1
_STATUSES: Final = sorted({*EventStatus} - {EventStatus.DUPLICATE} | {*State})


class Ask(BaseModel):
    """Unknown keys are refused, so that a typing error is not an unfiltered answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Ask):
    """No parameters."""


class EventsAsk(Ask):
    """Which events: all filters must hold."""

    source: Annotated[Words | None, Field(description="the name of a source")] = None
    type: Annotated[Words | None, Field(description="the event's type, whole")] = None
    status: Annotated[
        str | None,
        Field(
            description="what became of the event, or the state of one of its dispatches",
            json_schema_extra={"enum": _STATUSES},
        ),
    ] = None
    since: Annotated[Moment | None, Field(description="an ISO 8601 moment, or how long ago, as 1h")] = None
    until: Annotated[Moment | None, Field(description="an ISO 8601 moment, or how long ago, as 15m")] = None
    text: Annotated[Words | None, Field(description="is looked for in ids, type, subject and (plain) body")] = None
    cursor: Annotated[Words | None, Field(description="the cursor of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=500, description="the most events of one page")] = 50

    def query(self, now: int) -> EventQuery:
        """As the ledger takes it; `now` is milliseconds since the epoch. Raises BadRequest."""
        status, state = _split(self.status)
        return EventQuery(
            source=self.source,
            type=self.type,
            status=status,
            state=state,
            since=_moment("since", self.since, now),
            until=_moment("until", self.until, now),
            text=self.text,
            cursor=self.cursor,
            limit=self.limit,
        )


class ResultsAsk(Ask):
    """From where the stream begins, and whether it goes on."""

    after: Annotated[
        str | None,
        Field(
            pattern=r"^(latest|[0-9]{1,19})$",
            description="the cursor (`id:`) of the last result that is known, or `latest`; left out: the oldest kept",
        ),
    ] = None
    follow: Annotated[bool, Field(description="0 ends the stream after the newest result")] = True


class RejectedAsk(Ask):
    """Which refused requests."""

    source: Annotated[Words | None, Field(description="the name of a source")] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="the most that are listed")] = 100


class ReadmitAsk(Ask):
    """How to judge refused requests again."""

    dry_run: Annotated[bool, Field(alias="dryRun", description="judge only: take nothing in")] = False


class ReplayAsk(Ask):
    """How to replay an event."""

    again: Annotated[
        bool, Field(strict=True, description="also the rules that already made, or may have made, a chat")
    ] = False


class RetryAsk(Ask):
    """How to retry a dispatch."""

    render: Annotated[
        bool, Field(strict=True, description="render it anew by today's rule; else what was kept is sent again")
    ] = False


_EITHER: Final[list[JsonValue]] = [
    {"required": ["source"], "properties": {"source": {"type": "string"}}, "not": {"required": ["event"]}},
    {"required": ["event"], "properties": {"event": {"type": "string"}}, "maxProperties": 1},
]


class TryAsk(Ask):
    """A delivery to try, or the id of an event that was kept. A `body` that is no string is tried as its JSON text."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _EITHER})

    source: Words | None = None
    event: Annotated[Words | None, Field(description="the id of an event, in place of all the others")] = None
    headers: dict[str, str] = {}
    body: Any = None

    def raw(self) -> bytes:
        """The delivery's body. Raises BadRequest."""
        try:
            text = self.body if isinstance(self.body, str) else json.dumps(self.body, allow_nan=False)
            return text.encode()
        except ValueError as error:
            raise BadRequest(f"body cannot be sent as JSON: {error}") from None


def read_query(request: web.Request, model: type[Model]) -> Model:
    """The query parameters. Raises BadRequest that names each one that is wrong."""
    repeated = sorted({name for name in request.query if len(request.query.getall(name)) > 1})
    if repeated:
        raise BadRequest(f"query parameter {repeated[0]} is given twice; give it once")
    return _validate(model, dict(request.query), "query parameter")


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """The JSON body; an empty one is an empty object. Raises BadRequest that names each key that is wrong."""
    raw = await request.read()
    try:
        document = load(raw or b"{}", OWN)
    except TooDeep:
        raise BadRequest(f"the body nests more than {OWN} deep; flatten it") from None
    except ValueError:
        raise BadRequest("the body is not JSON; send an object, as {}") from None
    if not isinstance(document, dict):
        raise BadRequest("the body is not a JSON object; send one, as {}")
    return _validate(model, document, "key")


def read_id(request: web.Request) -> str:
    """The id in the path. Raises NotFound for what can be the id of nothing."""
    given = request.match_info["id"]
    if _ID.fullmatch(given) is None:
        raise NotFound("there is no event and no dispatch with such an id")
    return given


def read_cursor(text: str | None) -> int | None:
    """The cursor of a result, None for none. Raises BadRequest."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) > _LAST_CURSOR:
        raise BadRequest(f"Last-Event-ID or after: {text[:40]!r} is not a cursor; send the last `id:` of this stream")
    return int(text)


def _validate(model: type[Model], document: Mapping[str, Any], kind: str) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        known = ", ".join(field.alias or name for name, field in model.model_fields.items())
        raise BadRequest("; ".join(_fault(fault, kind, known) for fault in error.errors())) from None


def _fault(fault: Any, kind: str, known: str) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{kind} {name} is not known; known are: {known or 'none'}"
    message = fault["msg"]
    return f"{kind} {name}: {message[:1].lower()}{message[1:]}"


def _split(status: str | None) -> tuple[EventStatus | None, State | None]:
    if status is None:
        return None, None
    if status not in _STATUSES:
        raise BadRequest(f"query parameter status: {status[:40]!r} is none; write one of {', '.join(_STATUSES)}")
    return (EventStatus(status), None) if status in set(EventStatus) else (None, State(status))


def _moment(name: str, text: str | None, now: int) -> int | None:
    if text is None:
        return None
    try:
        return max(0, now - duration(text) if _AGO.fullmatch(text) else parse_iso(text.upper()))
    except (ValueError, OverflowError):
        raise BadRequest(
            f"query parameter {name}: {text[:40]!r} is not a time: write 2026-11-23T09:00:00Z (a + as %2B) or 1h"
        ) from None
