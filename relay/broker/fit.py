"""What a sender wrote, in a form that can be written again.

The client library reads more than it writes, and what it reads may be longer afterwards: a byte that is not UTF-8
becomes four characters (`relay.broker.tolerant`), and a value without a type of its own becomes text.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pamqp.commands import Basic
from pamqp.encode import encode_table_value
from pamqp.header import ContentHeader

from relay.broker.faults import Unwritable

SHORT: Final = 255
"""Bytes of a "short string" of AMQP: properties, routing keys, names of queues."""
_FRAME: Final = 8
"""Bytes around what a frame holds."""
_DEFAULT: Final = 128 << 10
_ROOM: Final = 2 << 10
"""Bytes of the frame that stay free for what is told of it, and for the headers that RabbitMQ adds when it delivers."""
_NAME: Final = 128
"""Bytes that the client library keeps of a header's name."""
_ROUTING: Final = frozenset({"cc", "bcc"})
_FAULTS: Final = (TypeError, ValueError, ArithmeticError, struct.error)


@contextmanager
def writing() -> Iterator[None]:
    """Around what composes and publishes a message. Raises Unwritable where the client library cannot write it."""
    try:
        yield
    except _FAULTS as error:
        raise Unwritable(f"the message cannot be written as AMQP: {type(error).__name__}: {error}") from None


def cut(text: str | None) -> str | None:
    """As much of a text as a property holds, up to a whole character."""
    return None if text is None else text.encode("utf-8", "replace")[:SHORT].decode("utf-8", "ignore")


def is_short(text: str) -> bool:
    """Whether it is none that `cut` would cut."""
    return cut(text) == text


def cut_properties(properties: Basic.Properties) -> None:
    """Cut each property that is a text."""
    for name in ("content_type", "content_encoding", "message_id", "correlation_id", "reply_to", "message_type"):
        setattr(properties, name, cut(getattr(properties, name)))
    properties.app_id = cut(properties.app_id)


def fit(properties: Basic.Properties, headers: Mapping[str, Any], frame_max: int) -> list[str]:
    """Add the headers that may go out with these properties; return the names of those for which there is no room.

    RabbitMQ closes the connection over a header frame of more than the `frame_max` that it has named (0: any).
    `CC` and `BCC`, which would route copies to other queues, are not added. A value that the client library can read
    but not write becomes text. A header that is there already stays as it is.
    """
    own: dict[str, Any] = dict(properties.headers or {})
    room = (frame_max or _DEFAULT) - _FRAME - _ROOM - len(ContentHeader(properties=properties).marshal())
    added: dict[str, Any] = {}
    left_out = []
    for name, value in headers.items():
        if name.lower() in _ROUTING or name in own:
            continue
        sendable, size = _measure(value)
        size += 1 + min(len(name.encode()), _NAME)
        if size <= room:
            room -= size
            added[name] = sendable
        else:
            left_out.append(name)
    if room < 0:
        raise Unwritable("the message cannot be written as AMQP: its properties are larger than a frame")
    properties.headers = added | own
    return left_out


def _measure(value: Any) -> tuple[Any, int]:
    """The value in a form that can be written, and its bytes."""
    try:
        return value, len(encode_table_value(value))
    except _FAULTS:
        text = str(value).encode("utf-8", "replace").decode()
        return text, len(encode_table_value(text))
