"""Parses Cargo's answers and requires only the fields that Relay cannot work without.

If Relay rejected an answer about an existing chat, it would treat the chat as absent and create it again. So only a
missing or invalid uuid is an error. Any other field that is missing or has the wrong type counts as null:
of Cargo's API new fields may appear, and nullable ones may be absent.
"""

from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, from_json
from pydantic_core.core_schema import with_default_schema

from relay.depth import ANSWER, TooDeep, load
from relay.errors import Unknown
from relay.model import Chat, Message, Page
from relay.units import parse_iso

_UUID: Final = r"^(?i:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
"""Any version: even a uuid that is not v4 is the only reference to a created chat."""


class _Lenient:
    """Turns a value of the wrong type into null. pydantic offers this in its core schema, without a Python call."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_default_schema(handler(source), default=None, on_error="default")


Uuid = Annotated[str, Field(pattern=_UUID), StringConstraints(to_lower=True)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that every ledger can store: no NUL. pydantic itself rejects lone surrogates."""
Moment = Annotated[int, WrapValidator(lambda value, _: parse_iso(value) if isinstance(value, str) else None)]
Lenient = _Lenient()


class CargoModel(BaseModel):
    """camelCase in JSON; unknown fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, strict=True)


class Stamp(CargoModel):
    dispatch: Annotated[Text, Field(min_length=1, max_length=64)]
    run: Annotated[int, Field(ge=1, lt=1 << 31)]


class Meta(CargoModel):
    relay: Annotated[Stamp | None, Lenient] = None


class Trigger(CargoModel):
    type: Annotated[Text | None, Lenient] = None
    connector_uuid: Annotated[Uuid | None, Lenient] = None
    meta: Annotated[Meta | None, Lenient] = None


class ChatRow(CargoModel):
    """A chat."""

    uuid: Uuid
    created_at: Annotated[Moment | None, Lenient] = None
    name: Annotated[Text | None, Lenient] = None
    agent_uuid: Annotated[Uuid | None, Lenient] = None
    trigger: Annotated[Trigger | None, Lenient] = None
    credits_used_count: Annotated[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, Lenient] = None

    def chat(self, now: int) -> Chat:
        """Convert to Relay's `Chat`. `now` (ms since the epoch) replaces a missing or invalid `createdAt`."""
        trigger = self.trigger or Trigger()
        stamp = trigger.meta.relay if trigger.meta else None
        return Chat(
            uuid=self.uuid,
            created_at=now if self.created_at is None else self.created_at,
            name=self.name,
            agent_uuid=self.agent_uuid,
            trigger_type=trigger.type,
            connector_uuid=trigger.connector_uuid,
            stamp=None if stamp is None else (stamp.dispatch, stamp.run),
            credits_used=self.credits_used_count,
        )


class LinePart(CargoModel):
    """A part of a message."""

    type: Annotated[Text | None, Lenient] = None
    text: Annotated[str | None, Lenient] = None


class Line(CargoModel):
    """A message."""

    uuid: Uuid
    type: Text
    status: Annotated[Text | None, Lenient] = None
    parts: Annotated[list[LinePart] | None, Lenient] = None
    created_at: Annotated[Moment | None, Lenient] = None

    def message(self) -> Message:
        text = "".join(part.text or "" for part in self.parts or () if part.type == "text")
        return Message(self.uuid, self.type, self.status or "", text, self.created_at)


class Made(CargoModel):
    """The answer of `POST /ai/chats`."""

    chat: ChatRow


class Said(CargoModel):
    """The answer of `POST /ai/messages`."""

    user_message: Line


class Listed(CargoModel):
    """The answer of `GET /ai/chats/list`, with unparsed rows."""

    chats: list[Any]


class Lines(CargoModel):
    """The answer of `GET /ai/messages/list`. Every message must be readable: any one could be the user's."""

    messages: list[Line]


_Form = TypeVar("_Form", bound=CargoModel)
_ROW: Final = TypeAdapter(ChatRow)


def read_chat(raw: bytes, now: int) -> Chat:
    """The created chat. `now` is milliseconds since the epoch. Raises Unknown."""
    return _read(Made, raw, "`chat` with a uuid").chat.chat(now)


def read_said(raw: bytes) -> str:
    """The user message's uuid. Raises Unknown."""
    return _read(Said, raw, "`userMessage` with a uuid").user_message.uuid


def read_page(raw: bytes, now: int) -> Page:
    """A page of chats without the invalid rows. `now` is milliseconds since the epoch. Raises Unknown."""
    rows = _read(Listed, raw, "a list `chats`").chats
    parsed = (_row(row) for row in rows)
    return Page(tuple(row.chat(now) for row in parsed if row is not None), len(rows))


def read_messages(raw: bytes) -> list[Message]:
    """The messages of a chat. Raises Unknown."""
    return [line.message() for line in _read(Lines, raw, "a list `messages`").messages]


def _row(row: Any) -> ChatRow | None:
    try:
        return _ROW.validate_python(row)
    except ValidationError:
        return None


def _read(form: type[_Form], raw: bytes, expected: str) -> _Form:
    """Parse an answer. pydantic's errors quote the answer, so they are replaced by Unknown, which does not."""
    try:
        return form.model_validate(load_answer(raw))
    except TooDeep:
        problem = "nests too deeply"
    except ValueError:
        problem = "is empty" if not raw.strip() else "is HTML" if raw.lstrip()[:1] == b"<" else f"has no {expected}"
    raise Unknown(f"Cargo's answer {problem}: it is not known whether the call was done")


def load_answer(raw: bytes) -> Any:
    """Parse JSON. Raises ValueError. The fallback accepts lone surrogates: one in a name must not hide a whole list."""
    try:
        return from_json(raw)
    except ValueError:
        return load(raw, ANSWER)
