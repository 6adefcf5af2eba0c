"""The requests to Cargo (https://docs.getcargo.ai/api-reference, and the types of `@cargo-ai/api`)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from relay.units import parse_iso

UUID4: Final = r"^(?i:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$"

Uuid = Annotated[str, Field(pattern=UUID4), AfterValidator(str.lower)]
Moment = Annotated[int, BeforeValidator(parse_iso)]
Status = Literal["pending", "generating", "success", "error", "cancelling", "cancelled"]


class RequestModel(BaseModel):
    """The base of all requests: camelCase keys; unknown keys are ignored, as Cargo does."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Connector(RequestModel):
    type: Literal["connector"]
    connector_uuid: Uuid
    meta: dict[str, Any]


class Workflow(RequestModel):
    type: Literal["workflow"]
    uuid: Uuid
    node_uuid: Uuid
    run_uuid: Uuid | None


class FromChat(RequestModel):
    type: Literal["chat"]
    uuid: Uuid
    agent_uuid: Uuid | None
    message_uuid: Uuid | None


class WebExtension(RequestModel):
    type: Literal["web_extension"]
    url: str | None


class Plain(RequestModel):
    type: Literal["draft", "app", "schedule"]


Trigger = Annotated[Connector | Workflow | FromChat | WebExtension | Plain, Field(discriminator="type")]


class NewChat(RequestModel):
    """The body of `POST /ai/chats`."""

    trigger: Trigger
    name: str | None = None
    agent_uuid: Uuid | None = None
    release_uuid: Uuid | None = None


class TextPart(RequestModel):
    type: Literal["text"]
    text: str


def _not_text(kind: str) -> str:
    if kind == "text":
        raise ValueError("a part of type text needs `text` with a string")
    return kind


class OtherPart(RequestModel):
    type: Annotated[str, AfterValidator(_not_text)]


class NewMessage(RequestModel):
    """The body of `POST /ai/messages`. Overrides of the agent are accepted but not used."""

    chat_uuid: Uuid | None = None
    agent_uuid: Uuid | None = None
    release_uuid: Uuid | None = None
    parts: Annotated[list[TextPart | OtherPart], Field(min_length=1)]


class ChatChanges(RequestModel):
    """The body of `PUT /ai/chats/{uuid}`."""

    name: str | None = None


class ToCancel(RequestModel):
    """The body of `POST /ai/messages/cancel`."""

    uuids: list[Uuid]


class ChatQuery(RequestModel):
    """The query of `GET /ai/chats/list`. Times become milliseconds since the epoch."""

    agent_uuid: Uuid | None = None
    release_uuid: Uuid | None = None
    user_uuid: Uuid | None = None
    trigger_type: str | None = None
    message_statuses: tuple[Status, ...] = ()
    name: str | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    offset: Annotated[int, Field(ge=0)] = 0


class MessageQuery(RequestModel):
    """The query of `GET /ai/messages/list`."""

    chat_uuid: Uuid


NEW_CHAT: Final = TypeAdapter(NewChat)
NEW_MESSAGE: Final = TypeAdapter(NewMessage)


def load(raw: bytes) -> Any:
    """Parse JSON by RFC 8259. Raises ValueError, also for `NaN`, lone surrogates and excessive nesting."""
    return from_json(raw, allow_inf_nan=False)


def gather(query: Mapping[str, str], statuses: list[str]) -> dict[str, Any]:
    """The parameters for ChatQuery. Statuses may be repeated, written as `key[]`, or separated by commas."""
    listed = [status for entry in statuses for status in entry.split(",")]
    return {**query, "messageStatuses": listed}
