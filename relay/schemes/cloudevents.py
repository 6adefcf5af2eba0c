"""CloudEvents 1.0 in JSON (https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents), extensions kept."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from relay import moment
from relay.schemes.document import parse

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"

_Text = Annotated[str, StringConstraints(min_length=1, strict=True)]
_Optional = Annotated[_Text | None, BeforeValidator(lambda value: None if value == "" else value)]
"""One that a sender wrote down and left empty is not there."""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """An event in its envelope. `extensions` are the attributes that the specification does not define.

    `time` is milliseconds since the epoch. When it cannot be read it is None, and `bad_time` says why: it is the only
    attribute without which an event means the same.
    """

    id: str
    source: str
    type: str
    subject: str | None = None
    time: int | None = None
    data: Any = None
    datacontenttype: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)
    bad_time: str | None = None

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the distributed tracing extension, if it is text."""
        value = self.extensions.get("traceparent")
        return value if isinstance(value, str) else None


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    id: _Text
    source: _Text
    type: _Text
    subject: _Optional = None
    time: Any = None
    datacontenttype: _Optional = None
    dataschema: _Optional = None
    data: Any = None
    data_base64: _Text | None = None


def decode_structured(data: Any) -> CloudEvent:
    """A parsed JSON body that is one CloudEvent. Raises ValueError saying which attribute is wrong."""
    if not isinstance(data, dict):
        raise ValueError("a CloudEvent is a JSON object")  # noqa: TRY004 - callers handle one kind of error
    envelope = _validate(data)
    if envelope.data_base64 is None:
        return _event(envelope, envelope.data)
    if "data" in envelope.model_fields_set:
        raise ValueError("a CloudEvent has either `data` or `data_base64`, not both")
    return _event(envelope, _read(_decode_base64(envelope.data_base64), envelope.datacontenttype))


def decode_binary(attributes: Mapping[str, str], body: bytes) -> CloudEvent:
    """A CloudEvent whose attributes came beside the body, without their prefix (`id`, `type`, ...).

    `datacontenttype` is the message's content type; the body must be JSON, an empty one is no data. Raises ValueError.
    """
    envelope = _validate({name: value for name, value in attributes.items() if name not in {"data", "data_base64"}})
    return _event(envelope, _read(body, envelope.datacontenttype) if body else None)


def http_attributes(headers: Mapping[str, str], content_type: str | None) -> dict[str, str]:
    """The attributes in HTTP headers (lower-case `ce-*`, percent-encoded), content type included."""
    attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    return attributes | ({"datacontenttype": content_type} if content_type else {})


def is_json(media: str) -> bool:
    """Whether a media type, parameters left out, is JSON."""
    return media in {"application/json", "text/json"} or media.endswith("+json")


def _validate(attributes: Mapping[str, Any]) -> _Envelope:
    try:
        return _Envelope.model_validate(attributes)
    except ValidationError as error:
        wrong = [f"`{'.'.join(map(str, fault['loc']))}`: {fault['msg']}" for fault in error.errors(include_input=False)]
        raise ValueError(f"not a CloudEvent 1.0: {'; '.join(wrong)}") from None


def _event(envelope: _Envelope, data: Any) -> CloudEvent:
    time, bad_time = _time(envelope.time)
    return CloudEvent(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        subject=envelope.subject,
        time=time,
        data=data,
        datacontenttype=envelope.datacontenttype,
        extensions=envelope.model_extra or {},
        bad_time=bad_time,
    )


def _time(value: Any) -> tuple[int | None, str | None]:
    """The time and, if it cannot be read, the reason."""
    if value is None:
        return None, None
    try:
        if not isinstance(value, str):
            raise ValueError("not a time: it is not text")  # noqa: TRY301, TRY004 - one kind of error for all that is bad
        return moment.parse(value), None
    except ValueError as error:
        return None, f"{str(value)[:40]!r} is {error}"


def _read(body: bytes, content_type: str | None) -> Any:
    media, _, parameters = (content_type or "application/json").partition(";")
    if not is_json(media.strip().lower()):
        raise ValueError(f"the data of this CloudEvent is {media.strip()[:60]!r}; it must be JSON")
    charset = next((part.partition("=")[2] for part in parameters.split(";") if "charset=" in part.lower()), "utf-8")
    return parse(body, charset.strip().strip('"'))


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not a CloudEvent 1.0: `data_base64`: it is not base64") from None
