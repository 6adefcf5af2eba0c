"""What goes out is what the schema says, and what other people's CloudEvents libraries read."""

import json
from dataclasses import replace

import jsonschema
import pytest

from relay.model import About, Chat, Dispatch, Event, Failure, ParkReason, tell
from relay.outbox import encode, json_schema

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
ABOUT = About("e1", "bus", "x1", "deal.won", None, None, TRACE, 1_764_000_000_123)
DISPATCH = Dispatch("d1", "e1", "bus", "rule", "{}")
CHAT = Chat("c1", 1_764_000_001_000, name="Ünïcode 🦊", agent_uuid="a1")
FAILURE = Failure("agentNotFound", "no such agent", 404)
EVENT = Event("e1", "bus", None, None, 1, b"1", b"", 1, reply_to="answers")
RESULTS = [
    tell.created(ABOUT, DISPATCH, CHAT, attempts=1, reconciled=True, now=1_764_000_002_000),
    tell.failed(ABOUT, DISPATCH, FAILURE, attempts=2, now=1),
    tell.failed(ABOUT, DISPATCH, Failure("cancelled", "by hand"), attempts=0, now=1),
    tell.failed(ABOUT, replace(DISPATCH, cause="d0"), Failure("superseded", "a later event"), attempts=0, now=1),
    tell.failed(ABOUT, replace(DISPATCH, cause_event="e0"), Failure("cancelled", "solved"), attempts=0, now=1),
    tell.parked(ABOUT, DISPATCH, ParkReason.UNKNOWN, Failure("timeout", "30 s"), attempts=3, now=1),
    tell.sent(ABOUT, DISPATCH, "c1", attempts=1, now=1),
    tell.unsent(ABOUT, DISPATCH, "c1", FAILURE, attempts=1, now=1),
    tell.unmatched(EVENT, (), now=1),
]


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.id + result.type)
def test_every_kind_of_result_matches_the_schema(result, validator):
    validator.validate(json.loads(encode(result)))


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.id + result.type)
def test_a_cloudevents_library_reads_every_kind(result):
    from cloudevents.v1.http import from_json

    event = from_json(encode(result))
    assert (event["id"], event["type"], event["subject"]) == (result.id, result.type.value, "e1")
    assert event["source"] == "/relay/bus"
    assert event.data == json.loads(json.dumps(result.data))


def test_the_schema_refuses_what_is_wrong_or_missing(validator):
    told = json.loads(encode(RESULTS[0]))
    assert not validator.is_valid(told | {"type": "relay.chat.parked"})
    assert not validator.is_valid(told | {"time": None})
    assert not validator.is_valid(
        told | {"data": {key: told["data"][key] for key in told["data"] if key != "chatUuid"}}
    )


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.id + result.type)
def test_a_consumer_that_is_built_from_todays_schema_takes_what_a_later_release_adds(result, validator):
    validator.validate(grow(json.loads(encode(result))))


def grow(value):
    """A message as a later release may tell it: further fields at every level, a code that is new."""
    if isinstance(value, list):
        return [grow(item) for item in value]
    if not isinstance(value, dict):
        return value
    grown = {key: grow(item) for key, item in value.items()} | {"added": {"more": [1, None]}, "addedtoo": "text"}
    return grown | ({"code": "paused"} if "code" in value else {})


def test_no_level_of_the_schema_is_closed():
    def look(node):
        if isinstance(node, dict):
            assert node.get("additionalProperties", True) is True, node
            assert not node.get("unevaluatedProperties", False)
        for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            look(below)

    look(json_schema())


def test_the_contracts_example():
    told = json.loads(encode(RESULTS[0]))
    assert told == {
        "specversion": "1.0",
        "id": "d1.1",
        "source": "/relay/bus",
        "type": "relay.chat.created",
        "subject": "e1",
        "time": "2025-11-24T16:00:02.000Z",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "data": {
            "chatUuid": "c1",
            "agentUuid": "a1",
            "name": "Ünïcode 🦊",
            "rule": "rule",
            "source": "bus",
            "dispatchId": "d1",
            "run": 1,
            "eventId": "e1",
            "externalId": "x1",
            "eventType": "deal.won",
            "correlationId": None,
            "attempts": 1,
            "labels": {},
            "reconciled": True,
            "receivedAt": "2025-11-24T16:00:00.123Z",
            "createdAt": "2025-11-24T16:00:01.000Z",
        },
    }
