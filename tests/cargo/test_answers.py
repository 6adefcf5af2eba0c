"""How Cargo's answers are read: tolerant in all but the uuid."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cargo.refusal import refusal, retry_after
from relay.cargo.wire import read_chat, read_messages, read_page, read_said
from relay.errors import RelayError, Unknown

UUID = "0f8b7c1e-5a52-4c7e-9d53-0c2f7c1d2e3f"
NOW = 1_763_888_400_000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def page(*rows):
    return read_page(json.dumps({"chats": rows}).encode(), NOW)


def test_a_uuid_in_upper_case_is_the_same_chat():
    assert read_chat(json.dumps({"chat": {"uuid": UUID.upper()}}).encode(), NOW).uuid == UUID


@pytest.mark.parametrize("moment", ["2025-11-23T09:00:00Z", "2025-11-23T09:00:00.000Z", "2025-11-23T10:00:00+01:00"])
def test_iso_dates_become_milliseconds(moment):
    assert page({"uuid": UUID, "createdAt": moment}).chats[0].created_at == NOW


@given(
    json_values,
    st.sampled_from(["name", "createdAt", "agentUuid", "trigger", "meta", "relay", "dispatch", "run", "unheardOf"]),
)
def test_whatever_stands_in_another_field_a_chat_with_a_uuid_is_never_lost(value, field):
    relay = {"dispatch": "d1", "run": 1}
    trigger = {"type": "connector", "meta": {"relay": relay}}
    row = {"uuid": UUID, "createdAt": "2025-11-23T09:00:00Z", "name": "n", "trigger": trigger}
    target = relay if field in ("dispatch", "run") else trigger["meta"] if field == "relay" else row
    (trigger if field == "meta" else target)[field] = value
    read = page(row)
    assert read.rows == 1
    assert [chat.uuid for chat in read.chats] == [UUID]
    assert "\0" not in f"{read.chats}"


def test_rows_that_are_no_chats_count_as_rows_and_spare_the_others():
    read = page(
        None, 7, "x", [], {}, {"uuid": "none"}, {"uuid": UUID, "name": "\ud800"}, {"uuid": UUID.replace("0", "1")}
    )
    assert read.rows == 8
    assert [chat.uuid for chat in read.chats] == [UUID, UUID.replace("0", "1")]
    assert read.chats[0].name is None


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"chats": null}', b'{"chats": {}}', b"<html>", b"\xff"])
def test_a_page_that_is_no_list_of_chats_is_unknown(raw):
    with pytest.raises(Unknown):
        read_page(raw, NOW)


def test_messages_are_read_all_or_not_at_all():
    line = {"uuid": UUID, "type": "user", "status": "success", "parts": []}
    assert [one.type for one in read_messages(json.dumps({"messages": [line]}).encode())] == ["user"]
    for bad in ({"uuid": UUID}, {"type": "user"}, None):
        with pytest.raises(Unknown):
            read_messages(json.dumps({"messages": [line, bad]}).encode())


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"userMessage": null}', b'{"userMessage": {"uuid": "x", "type": "user"}}', b"5"]
)
def test_an_answer_without_the_users_message_is_unknown(raw):
    with pytest.raises(Unknown):
        read_said(raw)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "999999999999"}, 86_400.0),
        ({"Retry-After": "Sun, 23 Nov 2025 09:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sun, 23 Nov 2025 09:00:30 GMT", "Date": "Sun, 23 Nov 2025 08:59:30 GMT"}, 60.0),
        ({"Retry-After": "Sun, 23 Nov 2025 09:00:30 GMT", "Date": "nonsense"}, 30.0),
        ({"Retry-After": "Sun, 23 Nov 2025 08:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sunday, 23-Nov-25 09:00:30 GMT"}, 30.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "Sun, 99 Nov 2025 09:00:30 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert retry_after(headers, datetime(2025, 11, 23, 9, tzinfo=UTC).timestamp()) == seconds


@given(st.text())
def test_no_retry_after_breaks_a_refusal(text):
    assert (retry_after({"Retry-After": text}, 0.0) or 0.0) >= 0.0


@given(st.integers(300, 599), st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_every_status_and_body_is_a_bounded_error(status, body):
    error = refusal(status, {}, body, secret="s3cret", now=0.0)
    assert isinstance(error, RelayError)
    assert len(str(error)) < 1_200


def test_a_short_token_hides_no_reason_that_is_judged():
    body = b'{"errorMessage": "not yet", "reason": "lastMessageNotFinished"}'
    error = refusal(409, {}, body, secret="t", now=0.0)
    assert error.code == "lastMessageNotFinished"
    assert "no********" in str(error)


@pytest.mark.parametrize("depth", [300, 5_000, 100_000])
def test_an_answer_that_nests_deep_is_read_or_told_on_every_python(depth):
    """What Relay wrote comes back inside of an answer; a chat that exists must not be lost over it."""
    deep = b"[" * depth + b"]" * depth
    made = b'{"chat": {"uuid": "' + UUID.encode() + b'", "trigger": {"meta": ' + deep + b"}}}"
    if depth == 300:
        assert read_chat(made, NOW).uuid == UUID
    else:
        with pytest.raises(Unknown, match="nests too deeply"):
            read_chat(made, NOW)
    said = refusal(422, {}, b'{"errorMessage": "no", "more": ' + deep + b"}", secret="s3cret", now=0.0)
    assert str(said) == ("Cargo answered 422: no" if depth == 300 else "Cargo answered 422")
