"""The AsyncAPI document, judged by AsyncAPI's own parser, and against what is published."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from relay import config
from relay.app import describe_messages
from relay.outbox import encode
from tests.outbox.test_wire import RESULTS

ROOT = Path(__file__).parents[2]
MANY = """
cargo: {token: t}
broker: {url: "amqps://relay@[::1]/crm%2Fnew"}
results: {exchange: told, queue: null}
sources:
  bus: {type: amqp, queue: crm.events, reply: true}
  more: {type: amqp, queue: more.events, declare: false, bind: {exchange: crm, routing_keys: [a, b]}}
  hook: {type: webhook, scheme: none}
rules:
  - {name: rule, chat: {trigger: {type: draft}}}
  - {name: own, chat: {trigger: {type: draft}}, result: {exchange: crm.results, routing_key: "deal.{{ data.id }}"}}
  - {name: plain, chat: {trigger: {type: draft}}, result: {exchange: crm.results}}
"""


PARTS = {"default": None, "recipe": (ROOT / "config/recipes/amqp.yaml").read_text(), "many": MANY}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """The documents by the name of their configuration, and one that is wrong."""
    made = {}
    for name, text in PARTS.items():
        path = tmp_path_factory.mktemp(name) / "relay.yaml"
        path.write_text(text or "")
        made[name] = describe_messages(config.load([path], {}, strict=False).settings if text else None, "1.2.3")
    made["wrong"] = json.loads(json.dumps(made["default"]))
    made["wrong"]["channels"]["chatCreated"]["bindings"]["amqp"]["exchange"]["type"] = "quorum"
    return made


@pytest.fixture(scope="module")
def judged(npm_folder, documents):
    """What the parser says of each."""
    script = shutil.copy(ROOT / "tests/sdk/asyncapi.mjs", npm_folder)
    texts = json.dumps([json.dumps(document) for document in documents.values()])
    done = subprocess.run(["node", script], input=texts, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(documents, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", PARTS)
def test_the_parser_has_nothing_to_say(judged, name):
    told = judged[name]
    # Of the kinds error (0) and warning (1); it would like a newer version of the specification.
    assert {each["code"] for each in told["diagnostics"]} <= {"asyncapi-latest-version"}
    assert {each["severity"] for each in told["diagnostics"]} <= {2, 3}
    assert "receive" in told["operations"]
    addresses = {channel["address"] for channel in told["channels"]}
    assert {"chat.created.{source}.{rule}", "{source}", "relay.dead", None} <= addresses


def test_results_of_a_rule_are_shown_where_they_go(documents):
    channels = documents["many"]["channels"]
    own, plain = channels["rule-own"], channels["rule-plain"]
    assert {each["bindings"]["amqp"]["exchange"]["name"] for each in (own, plain)} == {"crm.results"}
    assert "`deal.{{ data.id }}`" in own["description"]
    assert "`chat.created.<source>.plain`" in plain["description"]
    assert set(own["messages"]) == {"chatCreated", "chatFailed", "chatParked", "messageSent", "messageFailed"}
    assert documents["many"]["operations"]["send-own"]["bindings"]["amqp"]["mandatory"]
    assert channels["chatCreated"]["parameters"]["rule"]["enum"] == ["rule"]


def test_the_parser_would_have_something_to_say(judged):
    assert any(each["severity"] == 0 for each in judged["wrong"]["diagnostics"])


def test_it_shows_the_configuration(judged, documents):
    document = documents["many"]
    channels = {channel["address"]: channel["messages"] for channel in judged["many"]["channels"]}
    assert channels["more.events"] == ["event", "cloudEvent"]
    assert "relay.event.unmatched" in channels[None]
    assert document["servers"]["rabbitmq"]["host"] == "[::1]:5671"
    assert document["servers"]["rabbitmq"]["pathname"] == "/crm%2Fnew"
    created = document["channels"]["chatCreated"]
    assert created["bindings"]["amqp"]["exchange"]["name"] == "told"
    assert created["bindings"]["amqp"]["exchange"]["vhost"] == "crm/new"
    assert created["parameters"]["source"]["enum"] == ["bus", "more", "hook"]
    assert "reply" in document["operations"]["receive-bus"]
    assert "reply" not in document["operations"]["receive-more"]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.id + result.type)
def test_what_is_told_is_as_it_says(documents, result):
    document = documents["default"]
    message = next(each for each in document["components"]["messages"].values() if each["name"] == result.type.value)
    schema = {**document, "$ref": message["payload"]["$ref"]}
    jsonschema.Draft202012Validator(schema).validate(json.loads(encode(result)))
    name = message["payload"]["$ref"].rpartition("/")[2]
    channel = name[0].lower() + name[1:]
    if result.routing_key is None:
        assert channel not in document["channels"]
    else:
        address = re.sub(r"\{\w+\}", "[^.]+", document["channels"][channel]["address"].replace(".", r"\."))
        assert re.fullmatch(address, result.routing_key)
