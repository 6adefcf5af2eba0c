"""What a message becomes, and what it can be refused for. Pure."""

import gzip
import json
import zlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from relay.broker import UNREADABLE, Delivery
from relay.consumer import Input
from relay.consumer.decode import decode
from relay.rules import Template
from relay.schemes.document import Unreadable

SOURCE = Input("bus", "q")
CLOUD = {
    "specversion": "1.0",
    "id": "c1",
    "source": "/crm",
    "type": "deal.won",
    "subject": "deal/7",
    "time": "2026-11-23T09:00:00Z",
    "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    "data": {"amount": 7},
}


def read(body=b'{"a": 1}', source=SOURCE, **changes):
    return decode(Delivery(1, body, **({"routing_key": "deal.won"} | changes)), source, id="e1", now=1)


def refuse(reason, body=b"{}", **changes):
    with pytest.raises(Unreadable) as caught:
        read(body, **changes)
    assert caught.value.reason == reason
    return str(caught.value)


def test_plain_json_takes_its_identity_from_the_properties():
    event = read(message_id="m1", type="deal.lost", app_id="crm", correlation_id="c", content_type="application/json")
    assert (event.external_id, event.type, event.origin, event.correlation_id) == ("m1", "deal.lost", "crm", "c")
    assert (event.id, event.source, event.data, event.received_at) == ("e1", "bus", {"a": 1}, 1)


def test_without_an_id_there_is_none_and_the_type_is_the_routing_key():
    event = read(redelivered=True)
    assert (event.external_id, event.origin, event.type, event.redelivered) == (None, None, "deal.won", True)
    assert len(event.digest) == 32


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.crm+json",
        "text/json",
        "text/plain",
        "application/octet-stream",
    ],
)
def test_json_is_read_under_every_type_that_does_not_contradict_it(content_type):
    assert read(content_type=content_type).data == {"a": 1}


def test_other_types_are_refused():
    assert "application/xml" in refuse("content_type", b"<a/>", content_type="application/xml")


def test_a_structured_cloudevent():
    event = read(json.dumps(CLOUD).encode(), content_type="application/cloudevents+json; charset=utf-8", message_id="m")
    assert (event.external_id, event.origin, event.type) == ("c1", "/crm", "deal.won")
    assert (event.subject, event.time, event.data) == ("deal/7", 1_795_424_400_000, {"amount": 7})
    assert event.traceparent[3:35] == "a" * 32


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_", "ce-"])
def test_a_binary_cloudevent(prefix):
    attributes = {name: value for name, value in CLOUD.items() if name != "data"}
    headers = {f"{prefix}{name}": value for name, value in attributes.items()}
    event = read(b'{"amount": 7}', headers=headers, content_type="application/json")
    assert (event.external_id, event.origin, event.type) == ("c1", "/crm", "deal.won")
    assert (event.subject, event.time, event.data) == ("deal/7", 1_795_424_400_000, {"amount": 7})
    assert event.traceparent[3:35] == "a" * 32


def test_a_cloudevent_that_is_none_is_refused_by_attribute():
    body = json.dumps(CLOUD | {"id": 5}).encode()
    assert "`id`" in refuse("cloudevent", body, content_type="application/cloudevents+json")
    assert "`type`" in refuse("cloudevent", headers={"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/"})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "json"),
        (b"", "empty"),
        (b"{", "json"),
        (b'{"a": NaN}', "number"),
        (b'{"a": 1, "a": 2}', "duplicate_key"),
        (b"[" * 10_000 + b"]" * 10_000, "depth"),
        (b"[" * 5_000 + b"]" * 5_000, "depth"),
        (b"1" * 5_000, "number"),
    ],
)
def test_bodies_that_cannot_be_read(body, reason):
    refuse(reason, body)


def test_a_400_digit_integer_survives():
    assert read(b"1" * 400).data == int("1" * 400)


@pytest.mark.parametrize(
    ("encoding", "squeeze"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("utf-8", bytes),
        (None, bytes),
        ("UTF-8", bytes),
        ("none", bytes),
        ("identity, gzip", gzip.compress),
    ],
)
def test_content_encodings(encoding, squeeze):
    event = read(squeeze(b'{"a": 1}'), content_encoding=encoding)
    assert (event.data, event.raw) == ({"a": 1}, b'{"a": 1}')


@pytest.mark.parametrize(
    ("encoding", "headers", "body"),
    [
        ("gzip:UTF-8", {}, gzip.compress('{"a": "é"}'.encode(), mtime=0)),  # Spring AMQP
        ("utf-8", {"compression": "application/x-gzip"}, zlib.compress('{"a": "é"}'.encode())),  # Celery
        ("ISO-8859-1", {}, '{"a": "é"}'.encode("latin-1")),
        ("utf-16", {}, '{"a": "é"}'.encode("utf-16")),
        ("application/json", {"compression": "application/x-gzip"}, '{"a": "é"}'.encode()),
    ],
)
def test_what_libraries_put_where_the_encoding_belongs(encoding, headers, body):
    event = read(body, content_encoding=encoding, headers=headers, content_type="application/json")
    assert event.data == {"a": "é"}


def test_a_line_break_that_a_template_wrote_into_a_text_is_read_and_the_body_kept_as_it_came():
    event = read(b'{"a": "one\ntwo\x00"}')
    assert (event.data, event.raw, event.verbatim) == ({"a": "one\ntwo\ufffd"}, b'{"a": "one\ntwo\x00"}', False)
    assert not read(b'{"a": "one\ntwo"}').verbatim


def test_broken_encodings_are_refused():
    assert "'zstd'" in refuse("encoding", content_encoding="zstd")
    refuse("encoding", b"{}", content_encoding="gzip")
    refuse("encoding", gzip.compress(b'{"a": 1}')[:-4], content_encoding="gzip")
    refuse("too_large", gzip.compress(b" " * ((1 << 20) + 1)), content_encoding="gzip")
    refuse("too_large", b'"%s"' % (b"x" * (1 << 20)))


def test_reply_to_is_kept_only_where_the_source_says_so():
    assert read(reply_to="answers").reply_to is None
    assert reply_to("amq.gen-Xa2", True) == reply_to("amq.gen-Xa2", ("amq.gen-*",)) == "amq.gen-Xa2"
    assert reply_to("amq.rabbitmq.reply-to.g1h2.dXE==", True) == "amq.rabbitmq.reply-to.g1h2.dXE=="
    assert reply_to("crm.answers.7", ("other", "crm.answers.*")) == "crm.answers.7"


def test_whoever_publishes_does_not_choose_another_queue_of_the_broker():
    for name in ("crm.events", "relay.results", "amq.rabbitmq.log", "AMQ.GEN-x", "x-amq.gen-"):
        assert reply_to(name, True) is None
    assert reply_to("crm.events", ("crm.answers.*",)) is None
    assert reply_to("amq.gen-x", ("crm.answers.*",)) is None


def test_a_reply_to_that_has_grown_beyond_any_queues_name_is_refused_with_a_line():
    """Each NUL becomes three bytes; the result would never be told otherwise."""
    assert reply_to("crm.\0", ("crm.*",)) == "crm.\ufffd"
    with capture_logs() as lines:
        assert reply_to("crm." + "\0" * 100, ("crm.*",)) is None
    [line] = lines
    assert (line["event"], line["source"]) == ("reply.refused", "bus")
    assert line["what"].startswith("no queue has such a name")


def reply_to(name, allowed):
    return read(source=Input("bus", "q", reply=allowed), reply_to=name).reply_to


def test_the_operators_templates_stand_in_for_what_a_message_does_not_say():
    """Two messages about one record are two events, each known by its own message_id."""
    event = {
        "id": Template("{{ data.id }}"),
        "type": Template("order.{{ data.status }}"),
        "time": Template("{{ data.at }}"),
    }
    source = Input("bus", "q", event=event)
    body = b'{"id": 7, "status": "paid", "at": 1764000000}'
    made = read(body, source, message_id="m", type="t", timestamp=5_000)
    assert (made.external_id, made.type, made.time) == ("m", "t", 5_000)
    made = read(body, source)
    assert (made.external_id, made.type, made.time) == ("7", "order.paid", 1_764_000_000_000), (
        "a routing key is no type"
    )


def test_the_operators_templates_win_where_the_source_says_so_and_leave_what_they_do_not_find():
    event = {"id": Template("{{ data.order.id }}"), "type": Template("order.{{ data.status }}")}
    source = Input("bus", "q", event=event | {"time": Template("{{ data.at }}")}, override=True)
    made = read(b'{"order": {"id": 7}, "at": 1764000000}', source, message_id="m", type="t")
    assert (made.external_id, made.type, made.time) == ("7", "t", 1_764_000_000_000)


@pytest.mark.parametrize("no_id", ["", " ", "00000000-0000-0000-0000-000000000000", "undefined", "null", "None"])
def test_what_a_program_without_an_id_writes_is_none(no_id):
    """Else all its messages but the first are duplicates."""
    assert read(message_id=no_id).external_id is None
    assert (
        read(headers={"ce-specversion": "1.0", "ce-id": no_id or " ", "ce-source": "/", "ce-type": "t"}).external_id
        is None
    )
    source = Input("bus", "q", event={"id": Template("{{ data.id }}")})
    assert read(b'{"id": "o-1"}', source, message_id=no_id).external_id == "o-1"


def test_what_json_has_no_type_for_is_text_and_null_is_no_header():
    """Qpid, Spring and amqplib write a CloudEvent's time as AMQP's timestamp, and an absent attribute as void."""
    at = datetime(2026, 1, 16, 5, 56, 22, tzinfo=UTC)
    headers = {"ce_specversion": "1.0", "ce_id": 7, "ce_source": "/", "ce_type": "t", "ce_time": at, "ce_subject": None}
    with capture_logs() as logs:
        event = read(headers=headers | {"price": Decimal("1.50"), "t": {"at": at}, "gone": None})
    assert (event.external_id, event.time, event.subject, logs) == ("7", 1_768_542_982_000, None, [])
    assert event.headers["ce_time"] == "2026-01-16T05:56:22.000Z"
    assert (event.headers["price"], event.headers["t"]) == ("1.50", '{"at": "2026-01-16T05:56:22.000Z"}')
    assert "gone" not in event.headers


def test_headers_are_kept_without_credentials_and_within_bounds():
    headers = {"X-Tenant": "a", "Authorization": "Bearer hunter2", "n": 5, "t": {"k": [None]}, "big": "x" * 9_000}
    kept = read(headers=headers).headers
    assert kept == {"x-tenant": "a", "n": "5", "t": '{"k": [null]}'}
    assert len(read(headers={f"h{number}": "x" for number in range(100)}).headers) == 64


def test_what_no_database_holds_is_marked_in_the_body_and_in_properties():
    event = read(rb'{"a": "x\u0000\ud83d"}', message_id="a\0b", headers={"X-A": "\0"})
    assert (event.data, event.external_id, event.headers) == ({"a": "x\ufffd\ufffd"}, "a\ufffdb", {"x-a": "\ufffd"})
    assert (event.raw, event.verbatim) == (rb'{"a": "x\u0000\ud83d"}', False)
    cloud = read(headers={"ce-specversion": "1.0", "ce-id": "a\0", "ce-source": "/", "ce-type": "t"})
    assert cloud.external_id == "a\ufffd"
    refuse("properties", headers={UNREADABLE: "timestamp out of range"})


def test_a_trace_is_made_where_none_came():
    assert read().traceparent.startswith("00-")


TEXTS = st.none() | st.text(max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TYPES = st.sampled_from(["application/json", "application/cloudevents+json", "text/plain; charset=utf-16", "a/b;;="])
ENCODINGS = st.sampled_from(["gzip", "deflate", "utf-8", "br"])


@given(
    body=st.binary() | st.sampled_from([b"{}", b"[]", json.dumps(CLOUD).encode()]),
    content_type=TYPES | TEXTS,
    content_encoding=ENCODINGS | TEXTS,
    message_id=TEXTS,
    headers=st.dictionaries(st.text() | st.sampled_from(["ce-specversion", "ce-id", "ce-time"]), VALUES, max_size=5),
)
def test_whatever_comes_is_an_event_or_unreadable(body, **properties):
    try:
        event = read(body, **properties)
    except Unreadable:
        return
    assert "\0" not in "".join([event.external_id or "", event.content_type, *event.headers.values()])


def test_a_time_that_cannot_be_read_is_left_out_with_a_line_and_the_event_is_taken():
    cloud = json.dumps(CLOUD | {"time": "23/11/2026"}).encode()
    with capture_logs() as lines:
        event = read(cloud, content_type="application/cloudevents+json")
    assert (event.external_id, event.data, event.time) == ("c1", {"amount": 7}, None)
    [line] = lines
    assert (line["event"], line["source"], line["external_id"]) == ("event.timeless", event.source, "c1")
    assert "'23/11/2026' is not a time" in line["what"]
