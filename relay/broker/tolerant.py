"""Makes the client library tolerate malformed message properties from any sender.

pamqp decodes properties in the connection's reader, where an error closes the connection. RabbitMQ then delivers the
message again, and it closes the next connection. Text that is not UTF-8 or a timestamp in microseconds is enough.
pamqp also recurses into tables and arrays, and a header of 128 KiB can nest 20,000 of them.
"""

import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from pamqp import decode
from pamqp.commands import Basic
from pamqp.common import FieldValue
from pamqp.header import ContentHeader

from relay.depth import BODY

UNREADABLE: Final = "relay-unreadable"
"""The header that gives the reason why the properties could not be decoded. The message then has no others."""

DROPPED: Final = "relay-dropped"
"""The header that lists the headers and properties that were left out, because they could not be read."""

_Decode = Callable[[bytes], tuple[int, FieldValue]]

_strict = ContentHeader.unmarshal
_table, _array = decode.field_table, decode.field_array
_SIZED: Final = {b"T": 8, b"D": 5}
"""Types whose values may be out of any range, and how many bytes they have."""
_STRICT: Final = {kind: decode.TABLE_MAPPING[kind] for kind in _SIZED}
_MOST: Final = 20
"""Names of what was left out that are told."""
_DROPPED: Final = object()
"""Stands for a value that cannot be read."""
_FAULTS: Final = (ValueError, TypeError, KeyError, IndexError, OverflowError, ArithmeticError, OSError, struct.error)


class _State(threading.local):
    """Of the message that this thread is decoding: how deep its tables and arrays nest, and what was left out."""

    def __init__(self) -> None:
        self.depth = 0
        self.dropped: list[str] = []


_state: Final = _State()


def tolerate() -> None:
    """From now on texts that are not UTF-8 are escaped, a value that cannot be read is left out alone, and properties
    of which the rest cannot be found are reported in a header.

    This affects the whole process, because pamqp has one table of decoders. Calling it again changes nothing.
    """
    decode.METHODS["shortstr"] = _decode_text
    decode.TABLE_MAPPING[b"A"] = _counted(_without_dropped(_array))
    decode.TABLE_MAPPING[b"F"] = _counted(_without_dropped(_table))
    decode.METHODS["table"] = _headers
    for kind, length in _SIZED.items():
        decode.TABLE_MAPPING[kind] = _dropping(_STRICT[kind], length, _DROPPED)
    decode.METHODS["timestamp"] = _timestamp
    ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign, assignment] # pamqp takes no other decoder


def _decode_text(value: bytes) -> tuple[int, FieldValue]:
    length = value[0]
    return length + 1, value[1 : length + 1].decode("utf-8", "backslashreplace")


def _dropping(read: _Decode, length: int, instead: Any) -> _Decode:
    """What reads a value of this many bytes, and gives another one where it is out of range."""

    def read_or_drop(value: bytes) -> tuple[int, FieldValue]:
        try:
            return read(value)
        except _FAULTS:
            if len(value) < length:
                raise
            return length, instead

    return read_or_drop


def _timestamp(value: bytes) -> tuple[int, FieldValue]:
    """The property of that name."""
    length, moment = _dropping(_STRICT[b"T"], _SIZED[b"T"], _DROPPED)(value)
    if moment is not _DROPPED:
        return length, moment
    _state.dropped.append("timestamp")
    return length, None


def _without_dropped(read: _Decode) -> _Decode:
    """What reads a table or an array without the values in it that cannot be read."""

    def read_kept(value: bytes) -> tuple[int, FieldValue]:
        length, found = read(value)
        if isinstance(found, dict):
            kept = {key: value for key, value in found.items() if value is not _DROPPED}
            _state.dropped += [str(key) for key in found if key not in kept]
            return length, kept
        if isinstance(found, list):
            items = [value for value in found if value is not _DROPPED]
            _state.dropped += ["an item of a list"] * (len(found) - len(items))
            return length, items
        return length, found

    return read_kept


def _headers(value: bytes) -> tuple[int, FieldValue]:
    return _without_dropped(_table)(value)


def _counted(read: _Decode) -> _Decode:
    def read_counted(value: bytes) -> tuple[int, FieldValue]:
        _state.depth += 1
        try:
            if _state.depth > BODY:
                raise ValueError(f"headers nest more than {BODY} deep")
            return read(value)
        finally:
            _state.depth -= 1

    return read_counted


def split_dropped(headers: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The headers of a message without `DROPPED`, and the names in it."""
    names = headers.get(DROPPED)
    if not isinstance(names, _Names):
        return headers, ()
    return {name: value for name, value in headers.items() if name != DROPPED}, tuple(names)


class _Names(list[str]):
    """The value of `DROPPED`, of a type that no sender's header has."""


def _unmarshal(header: ContentHeader, data: bytes) -> None:
    _state.dropped = []
    try:
        _strict(header, data)
        if _state.dropped:
            names: Any = _Names(_state.dropped[:_MOST])
            header.properties.headers = {**(header.properties.headers or {}), DROPPED: names}
    except _FAULTS as error:
        header.class_id, header.weight, header.body_size = struct.unpack(">HHQ", data[:12])
        header.properties = Basic.Properties(headers={UNREADABLE: f"{type(error).__name__}: {error}"[:200]})
