"""What a stranger puts into a message's properties is decoded, or told; it never ends the connection."""

import struct

import pytest
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from relay.broker import UNREADABLE
from relay.broker.tolerant import tolerate


def decode(headers):
    """The headers as the client library hands them out, of a message whose table has these bytes."""
    tolerate()
    frame = ContentHeader(properties=Basic.Properties(headers={"x": "y"})).marshal()
    at = frame.index(b"\x01x")
    header = ContentHeader()
    header.unmarshal(frame[: at - 4] + struct.pack(">I", len(headers)) + headers)
    return header.properties.headers


def table(depth):
    inner = b""
    for _ in range(depth):
        inner = b"\x01xF" + struct.pack(">I", len(inner)) + inner
    return inner


def array(depth):
    inner = b""
    for _ in range(depth):
        inner = b"A" + struct.pack(">I", len(inner)) + inner
    return b"\x01x" + inner


@pytest.mark.parametrize("nest", [table, array])
def test_tables_that_nest_too_deeply_are_told(nest):
    told = decode(nest(200))
    assert set(told) == {"x"}
    for depth in (202, 5_000):
        assert "headers nest more than 200 deep" in decode(nest(depth))[UNREADABLE]
    assert decode(nest(200)) == told, "the count begins anew"
