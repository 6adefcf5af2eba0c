"""Makes the client library survive what a stranger puts into a message's properties.

pamqp decodes properties in the connection's reader, where an error ends the connection; the message is then delivered
again, and ends the next one. Texts that are not UTF-8 and timestamps in microseconds are enough. And it recurses
into tables and arrays, of which a header of 128 KiB holds 20,000 in one another.
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
"""A header that says why the properties of this message could not be decoded; no property is known then."""

_Decode = Callable[[bytes], tuple[int, FieldValue]]

_strict = ContentHeader.unmarshal


class _Nesting(threading.local):
    """How many tables and arrays are being decoded, one inside of the other, in this thread."""

    depth = 0


_nesting: Final = _Nesting()


def tolerate() -> None:
    """From now on texts that are not UTF-8 are escaped, and properties that are broken reported in a header.

    For the whole process, as pamqp has one table of decoders; doing it again changes nothing.
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
