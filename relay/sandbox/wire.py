"""What requests to Cargo may look like (https://docs.getcargo.ai/api-reference, and the types of `@cargo-ai/api`)."""

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


class Body(BaseModel):
    """camelCase outside; what is not known is ignored, as Cargo does."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Connector(Body):
    type: Literal["connector"]
    connector_uuid: Uuid
    meta: dict[str, Any]


class Workflow(Body):
    type: Literal["workflow"]
    uuid: Uuid
    node_uuid: Uuid
    run_uuid: Uuid | None


class FromChat(Body):
    type: Literal["chat"]
    uuid: Uuid
    agent_uuid: Uuid | None
    message_uuid: Uuid | None


class WebExtension(Body):
    type: Literal["web_extension"]
    url: str | None


class Plain(Body):
    type: Literal["draft", "app", "schedule"]


Trigger = Annotated[Connector | Workflow | FromChat | WebExtension | Plain, Field(discriminator="type")]


class NewChat(Body):
    """The body of `POST /ai/chats`."""

    trigger: Trigger
    name: str | None = None
    agent_uuid: Uuid | None = None
    release_uuid: Uuid | None = None


class TextPart(Body):
    type: Literal["text"]
    text: str


def _not_text(kind: str) -> str:
    if kind == "text":
        raise ValueError("a part of type text has its text as a string")
    return kind


class OtherPart(Body):
    type: Annotated[str, AfterValidator(_not_text)]


class NewMessage(Body):
    """The body of `POST /ai/messages`; the agent's overrides are taken and not used."""

    chat_uuid: Uuid | None = None
    agent_uuid: Uuid | None = None
    release_uuid: Uuid | None = None
    parts: Annotated[list[TextPart | OtherPart], Field(min_length=1)]


class ChatQuery(Body):
    """The query of `GET /ai/chats/list`; moments become milliseconds since the epoch."""

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


class MessageQuery(Body):
    """The query of `GET /ai/messages/list`."""

    chat_uuid: Uuid


NEW_CHAT: Final = TypeAdapter(NewChat)
NEW_MESSAGE: Final = TypeAdapter(NewMessage)


def load(raw: bytes) -> Any:
    """JSON as RFC 8259 has it: `NaN` and lone surrogates are refused, and what nests too deep. Raises ValueError."""
    return from_json(raw, allow_inf_nan=False)


def gather(query: Mapping[str, str], statuses: list[str]) -> dict[str, Any]:
    """A query string's pairs as ChatQuery takes them; statuses come repeated, as `key[]`, or with commas."""
    listed = [status for entry in statuses for status in entry.split(",")]
    return {**query, "messageStatuses": listed}
