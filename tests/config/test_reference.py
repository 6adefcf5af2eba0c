"""The files in config/ against the models they are written for."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from relay.config import (
    AlertsBlock,
    AmqpSource,
    Bind,
    BrokerBlock,
    CargoBlock,
    EncryptBlock,
    EventTemplates,
    HttpBlock,
    LedgerBlock,
    ResultsBlock,
    RetryBlock,
    Rule,
    Settings,
    WebhookSource,
    json_schema,
    load,
)
from relay.schemes import example

CONFIG = Path(__file__).parents[2] / "config"
FILES = sorted(CONFIG.rglob("*.yaml"))
BLOCKS = {
    "cargo": CargoBlock,
    "ledger": LedgerBlock,
    "broker": BrokerBlock,
    "results": ResultsBlock,
    "http": HttpBlock,
    "retry": RetryBlock,
    "encrypt": EncryptBlock,
    "alerts": AlertsBlock,
}
ENV = {
    "CARGO_API_TOKEN": "token",
    "CARGO_AGENT_UUID": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "CARGO_CONNECTOR_UUID": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f",
    "RABBITMQ_URL": "amqp://guest:guest@localhost/",
    "ZENDESK_SECRET": "zendesk",
    "GITHUB_SECRET": "github",
    "SHOP_SECRET": "shop",
    "FORMS_TOKEN": "forms",
    "LEGACY_PASSWORD": "legacy",
    "PARTNERS_NEW": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "PARTNERS_OLD": "whsec_MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}


def secrets(path):
    """A value for each variable that a recipe's source names, of the form that its scheme takes."""
    sources = (yaml.safe_load(path.read_text()) or {}).get("sources", {}).values()
    found = {}
    for source in sources:
        for key, value in source.items():
            if isinstance(value, str) and value.startswith("${"):
                found[value[2:-1]] = example(source["scheme"]).secret if key == "secret" else "value"
    return {name: value for name, value in found.items() if name not in ENV}


def reference():
    return yaml.safe_load((CONFIG / "reference.yaml").read_text())


def normal(model: type[BaseModel], key, value):
    """The value as a file would have it, parsed."""
    field = model.model_fields[key]
    needed = {name: "x" for name, other in model.model_fields.items() if other.is_required() and name != key}
    needed |= {"url": "amqp://host/"} if model is BrokerBlock and key != "url" else {}
    assert not field.is_required()
    return getattr(model(**{**needed, key: value}), key)


@pytest.mark.parametrize(("name", "model"), BLOCKS.items())
def test_the_reference_shows_every_key_of_a_block_with_its_default(name, model):
    shown = reference()[name]
    assert list(shown) == list(model.model_fields)
    for key, field in model.model_fields.items():
        if field.default is not PydanticUndefined:
            assert normal(model, key, shown[key]) == normal(model, key, field.get_default()), key
        else:
            assert str(shown[key]).startswith("${"), "a key without a default shows a variable"


def test_the_reference_shows_every_block_and_no_other():
    assert list(reference()) == list(Settings.model_fields)


@pytest.mark.parametrize(("kind", "model"), [("webhook", WebhookSource), ("amqp", AmqpSource)])
def test_the_reference_shows_every_key_of_a_source(kind, model):
    shown = [source for source in reference()["sources"].values() if source["type"] == kind]
    assert {key for source in shown for key in source} == set(model.model_fields)


def test_the_reference_shows_every_key_inside_sources_and_of_a_rule():
    sources = reference()["sources"].values()
    assert {key for source in sources for key in source.get("event", ())} == set(EventTemplates.model_fields)
    assert {key for source in sources for key in source.get("bind", ())} == set(Bind.model_fields)
    (rule,) = reference()["rules"]
    assert list(rule) == list(Rule.model_fields)


def test_the_reference_shows_the_defaults_of_queues_and_rules():
    bus = next(source for source in reference()["sources"].values() if source["type"] == "amqp")
    for model, shown in ((AmqpSource, bus), (Bind, bus["bind"]), (Rule, reference()["rules"][0])):
        for key in {"prefetch", "declare", "reply", "routing_keys", "stop", "on_unknown"} & set(model.model_fields):
            default = model.model_fields[key].get_default()
            assert shown[key] == (list(default) if isinstance(default, tuple) else default), key


def test_every_key_has_a_comment_in_the_reference_and_a_description_in_the_schema():
    for line in (CONFIG / "reference.yaml").read_text().splitlines():
        top = line.startswith("  ") and not line.startswith("   ") and ": " in line and "sources" not in line
        if top and line.split(":")[0].strip() in CargoBlock.model_fields | LedgerBlock.model_fields:
            assert "#" in line, line
    for name, kind in json_schema()["$defs"].items():
        for key, value in kind.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_file_in_config_loads_with_and_without_its_variables(path):
    assert load([path], ENV | secrets(path)).settings.rules
    assert load([path], {}, strict=False).settings.rules


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_file_in_config_names_the_schema_and_fits_it(path):
    first = path.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == (CONFIG / "relay.schema.json").resolve()
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(path.read_text()))


def test_the_committed_schema_is_the_one_that_relay_prints():
    committed = json.loads((CONFIG / "relay.schema.json").read_text())
    told = "run: python -m relay schema config > config/relay.schema.json"
    assert committed == json.loads(json.dumps(json_schema())), told


def test_the_schema_is_sound_and_refuses_what_load_refuses():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    judge = jsonschema.Draft202012Validator(json_schema())
    for wrong in (
        {"cargoo": {}},
        {"cargo": {"token": ""}},
        {"cargo": {"timeout": 30}},
        {"cargo": {"rate": "50"}},
        {"http": {"hooks": 8080}},
        {"sources": {"a": {"type": "webhook"}}},
        {"sources": {"a": {"type": "amqp", "queue": "q", "prefetch": 0}}},
        {"rules": [{"name": "Not A Label", "chat": {}}]},
        {"rules": [{"name": "a", "chat": {}, "on_unknown": "maybe"}]},
    ):
        assert not judge.is_valid(wrong), wrong
    assert judge.is_valid({"cargo": {"timeout": "${T}", "rate": None}, "rules": []})
