"""Makes the client library tolerate malformed message properties from any sender.

pamqp decodes properties in the connection's reader, where an error closes the connection. RabbitMQ then delivers the
message again, and it closes the next connection. Text that is not UTF-8 or a timestamp in microseconds is enough.
pamqp also recurses into tables and arrays, and a header of 128 KiB can nest 20,000 of them.
"""

import struct
import threading
from collections.abc import Callable
from typing import Final

from pamqp import decode
from pamqp.commands import Basic
from pamqp.common import FieldValue
from pamqp.header import ContentHeader

from relay.depth import BODY

UNREADABLE: Final = "relay-unreadable"
"""The header that gives the reason why the properties could not be decoded. The message then has no others."""

_Decode = Callable[[bytes], tuple[int, FieldValue]]

_strict = ContentHeader.unmarshal


class _Nesting(threading.local):
    """How deep the tables and arrays nest that this thread is decoding."""

    depth = 0


_nesting: Final = _Nesting()


def tolerate() -> None:
    """Patch pamqp: escape text that is not UTF-8, and report malformed properties in the header `UNREADABLE`.

    This affects the whole process, because pamqp has one table of decoders. Calling it again changes nothing.
    """
    decode.METHODS["shortstr"] = _decode_text
    decode.TABLE_MAPPING[b"A"] = _counted(decode.field_array)
    decode.TABLE_MAPPING[b"F"] = _counted(decode.field_table)
    ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign, assignment] # pamqp takes no other decoder


def _decode_text(value: bytes) -> tuple[int, FieldValue]:
    length = value[0]
    return length + 1, value[1 : length + 1].decode("utf-8", "backslashreplace")


def _counted(read: _Decode) -> _Decode:
    def read_counted(value: bytes) -> tuple[int, FieldValue]:
        _nesting.depth += 1
        try:
            if _nesting.depth > BODY:
                raise ValueError(f"headers nest more than {BODY} deep")
            return read(value)
        finally:
            _nesting.depth -= 1

    return read_counted


def _unmarshal(header: ContentHeader, data: bytes) -> None:
    try:
        _strict(header, data)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, OSError, struct.error) as error:
        header.class_id, header.weight, header.body_size = struct.unpack(">HHQ", data[:12])
        header.properties = Basic.Properties(headers={UNREADABLE: f"{type(error).__name__}: {error}"[:200]})
