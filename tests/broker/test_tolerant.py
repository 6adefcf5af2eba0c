"""What a stranger puts into a message's properties is decoded, or told; it never ends the connection."""

import struct
from datetime import UTC, datetime

import pytest
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from relay.broker import UNREADABLE, split_dropped
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


def stamped(number):
    return b"\x04bornT" + struct.pack(">q", number) + b"\x01nI" + struct.pack(">i", 5)


@pytest.mark.parametrize("number", [1_785_228_565_123_456, -86_400, -1, 2**62])
def test_a_time_out_of_range_is_left_out_alone(number):
    assert split_dropped(decode(stamped(number))) == ({"n": 5}, ("born",))
    inner = b"\x01tF" + struct.pack(">I", len(stamped(number))) + stamped(number)
    assert split_dropped(decode(inner)) == ({"t": {"n": 5}}, ("born",))
    item = b"T" + struct.pack(">q", number)
    assert split_dropped(decode(b"\x01lA" + struct.pack(">I", len(item)) + item)) == ({"l": []}, ("an item of a list",))
    assert split_dropped(decode(stamped(0)))[1] == (), "the next message begins anew"


def test_a_time_of_the_message_out_of_range_is_left_out_alone():
    tolerate()
    frame = ContentHeader(
        properties=Basic.Properties(message_id="m", timestamp=datetime.fromtimestamp(0, UTC))
    ).marshal()
    header = ContentHeader()
    header.unmarshal(frame[:-8] + b"\xff" * 8)
    assert (header.properties.message_id, header.properties.timestamp) == ("m", None)
    assert split_dropped(header.properties.headers) == ({}, ("timestamp",))


def test_a_sender_s_own_header_of_that_name_is_a_header():
    name = b"\x0drelay-dropped"
    assert split_dropped(decode(name + b"S" + struct.pack(">I", 1) + b"x")) == ({"relay-dropped": "x"}, ())
