"""CloudEvents in JSON, against the library of the specification's own project."""

import base64
import contextlib

import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as TheirEvent
from hypothesis import given
from hypothesis import strategies as st

from relay.schemes.cloudevents import CloudEvent, decode_binary, decode_structured, http_attributes
from relay.schemes.document import parse

LEAST = {"specversion": "1.0", "id": "1", "source": "/crm", "type": "deal.won"}
THEIRS = {
    "id": "e-1",
    "source": "/crm",
    "type": "deal.won",
    "subject": "Köln 100 %",
    "datacontenttype": "application/json",
    "partner": "x",
}


def test_structured_events_of_the_reference_library_are_read():
    message = to_structured(TheirEvent(dict(THEIRS), {"a": [1, None]}), JSONFormat())
    event = decode_structured(parse(message.body))
    assert (event.id, event.source, event.type, event.subject) == ("e-1", "/crm", "deal.won", "Köln 100 %")
    assert event.data == {"a": [1, None]}
    assert event.extensions == {"partner": "x"}


def test_binary_events_of_the_reference_library_are_read():
    message = to_binary(TheirEvent(dict(THEIRS), {"a": 1}), JSONFormat())
    headers = {name.lower(): value for name, value in message.headers.items()}
    event = decode_binary(http_attributes(headers, headers["content-type"]), message.body)
    assert (event.subject, event.data, event.extensions) == ("Köln 100 %", {"a": 1}, {"partner": "x"})


def test_the_least_of_an_event_is_enough_and_null_is_absent():
    assert decode_structured(LEAST) == CloudEvent("1", "/crm", "deal.won")
    assert decode_structured(LEAST | {"subject": None, "time": None}).subject is None


def test_time_is_milliseconds():
    assert decode_structured(LEAST | {"time": "2023-11-14T22:13:20.5Z"}).time == 1_700_000_000_500


@pytest.mark.parametrize(
    "time", ["2023-11-14 22:13:20.500z", "2023-11-14T23:13:20.500000000+01:00", "2023-11-14t22:13:20.5-00:00"]
)
def test_every_form_of_rfc_3339_is_a_time(time):
    event = decode_structured(LEAST | {"time": time})
    assert (event.time, event.bad_time) == (1_700_000_000_500, None)


@pytest.mark.parametrize(("time", "said"), [("noon", "neither"), ("", "neither"), (5, "not text"), ({}, "not text")])
def test_a_time_that_cannot_be_read_is_left_out_alone(time, said):
    event = decode_structured(LEAST | {"time": time, "data": 1})
    assert (event.id, event.data, event.time) == ("1", 1, None)
    assert said in event.bad_time


def test_base64_data_that_is_json_is_read():
    packed = base64.b64encode(b'{"a": 1}').decode()
    assert decode_structured(LEAST | {"data_base64": packed}).data == {"a": 1}


def test_traceparent_is_an_extension():
    assert decode_structured(LEAST | {"traceparent": "00-x"}).traceparent == "00-x"
    assert decode_structured(LEAST | {"traceparent": 5}).traceparent is None


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ([], "JSON object"),
        (None, "JSON object"),
        ({}, "`specversion`"),
        (LEAST | {"specversion": "0.3"}, "`specversion`"),
        (LEAST | {"id": ""}, "`id`"),
        (LEAST | {"id": 5}, "`id`"),
        (LEAST | {"source": None}, "`source`"),
        (LEAST | {"type": {}}, "`type`"),
        (LEAST | {"data": 1, "data_base64": "eA=="}, "not both"),
        (LEAST | {"data_base64": "%"}, "`data_base64`"),
        (LEAST | {"data_base64": "eA==", "datacontenttype": "image/png"}, "must be JSON"),
        (LEAST | {"data_base64": "eA=="}, "not JSON"),
    ],
)
def test_what_is_wrong_is_named(event, said):
    with pytest.raises(ValueError, match=said):
        decode_structured(event)


def test_an_optional_attribute_that_is_left_empty_is_not_there():
    empty = dict.fromkeys(("subject", "dataschema", "datacontenttype"), "")
    event = decode_structured(LEAST | empty | {"data": 1})
    assert (event.subject, event.datacontenttype, event.data) == (None, None, 1)
    assert decode_binary(LEAST | {"subject": ""}, b"{}").subject is None
    with pytest.raises(ValueError, match="`id`"):
        decode_structured(LEAST | {"id": ""})


def test_a_binary_event_without_a_body_has_no_data_and_one_that_is_no_json_is_refused():
    assert decode_binary(LEAST, b"").data is None
    with pytest.raises(ValueError, match="must be JSON"):
        decode_binary(LEAST | {"datacontenttype": "text/xml"}, b"<a/>")
    with pytest.raises(ValueError, match="not JSON"):
        decode_binary(LEAST, b"<a/>")


@given(
    st.dictionaries(
        st.sampled_from([*LEAST, "time", "data", "data_base64", "datacontenttype", "x"]), st.text() | st.none()
    )
)
def test_no_attributes_raise_anything_but_value_error(attributes):
    with contextlib.suppress(ValueError):
        decode_structured(LEAST | attributes)
