"""The recipes of config/recipes: from a signed request, or a message, to the chat's body."""

import json
from functools import cache
from pathlib import Path

import pytest
import yaml

from relay.app import dry_run, run_tests
from relay.app.dry import make_rules, try_events
from relay.app.inputs import make_hook
from relay.app.judge import Court
from relay.app.samples import Samples
from relay.config import load
from relay.errors import Conflict
from relay.model import new_id
from relay.schemes import Headers, Request, build, example, names, vendor
from tests.signing import sign

FOLDER = Path(__file__).parents[2] / "config/recipes"
AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CONNECTOR = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"
ENV = {
    "CARGO_API_TOKEN": "token",
    "CARGO_AGENT_UUID": AGENT,
    "CARGO_CONNECTOR_UUID": CONNECTOR,
    "RABBITMQ_URL": "amqp://localhost",
    "ZENDESK_SECRET": "a zendesk secret",
    "GITHUB_SECRET": "a github secret",
    "SHOP_SECRET": "a shop secret",
    "PARTNERS_NEW": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "PARTNERS_OLD": "whsec_MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}
NOW = 1_795_425_300_000
WEBHOOKS = {
    "zendesk": {
        "identity": ("01HKQ5W9V7Y3M8Z2C4N6P8R0TA", "zen:event-type:ticket.created"),
        "name": "Ticket #5158: The export stops half way",
        "meta": {"ticketId": "5158", "tags": ["export", "enterprise"]},
        "message": "A customer writes in ticket 5158 (urgent):\n"
        "Since this morning every export ends after 500 rows. We need it before noon.",
    },
    "github": {
        "identity": ("the-sender-s-id", "issues.opened"),
        "name": "Bug in example/project: Webhook retries are not logged",
        "meta": {
            "url": "https://github.com/example/project/issues/481",
            "author": "kim",
            "assignee": "nobody",
        },
        "message": "Reproduce this: After a 503 the next delivery comes, but nothing says that it was the second.",
    },
    "standard-webhooks": {
        "identity": ("the-sender-s-id", "deal.won"),
        "name": "Won: Northwind, 120 seats",
        "meta": {"dealId": 90210, "amount": 48000},
        "message": "Prepare the handover of Northwind, 120 seats (48000 EUR).",
    },
    "hmac": {
        "identity": ("A-1007-paid", "order.paid"),
        "name": "Order A-1007, 2 items",
        "meta": {
            "order": json.loads((FOLDER / "hmac.json").read_text())["order"],
            "skus": "DESK-2, LAMP-9",
        },
        "message": "Order A-1007 over 1840.5 EUR was paid. Greet the buyer.",
    },
}


VENDORS = yaml.safe_load(Path(__file__).with_name("recipes.yaml").read_text())
TYPES = {".json": "application/json", ".xml": "text/xml; charset=utf-8"}


@cache
def key_pair(name):
    return example(name)


def environment(name):
    told = VENDORS.get(name, {})
    pair = {told["key_pair"]: key_pair(name).secret} if "key_pair" in told else {}
    return ENV | told.get("env", {}) | pair


def recipe(name):
    """The settings of a recipe, the name of its source, its sample."""
    (sample,) = (path for path in FOLDER.glob(f"{name}.*") if path.suffix in TYPES)
    settings = load([FOLDER / f"{name}.yaml"], environment(name)).settings
    (source,) = settings.sources
    return settings, source, sample


def wanted(trial):
    """The event and the one rule that wants it."""
    (tried,) = trial["events"]
    (verdict,) = [verdict for verdict in tried["rules"] if verdict["matched"]]
    return tried["event"], verdict


@pytest.mark.parametrize("name", sorted({*WEBHOOKS, *VENDORS, "amqp"}))
def test_a_recipe_carries_tests_of_its_own_which_pass(name, tmp_path):
    """Also where it is alone, as who saves what `relay recipes` prints has it."""
    alone = tmp_path / "relay.yaml"
    alone.write_bytes((FOLDER / f"{name}.yaml").read_bytes())
    loaded = load([alone], environment(name))
    outcomes = run_tests(loaded.settings, loaded.tests)
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.passed] == []


def chat(name, meta):
    trigger = {"type": "connector", "connectorUuid": CONNECTOR, "meta": meta}
    return {"agentUuid": AGENT, "name": name, "trigger": trigger}


def test_every_recipe_has_a_sample_and_is_held_here():
    assert {path.stem for path in FOLDER.iterdir() if path.suffix in TYPES} == {*WEBHOOKS, *VENDORS, "amqp"}
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*WEBHOOKS, *VENDORS, "amqp"}


def test_every_crm_and_helpdesk_has_a_recipe():
    """A vendor with several schemes has one, named for the vendor."""
    recipes = [recipe(name)[0] for name in (*VENDORS, "zendesk")]
    schemes = {source.scheme for settings in recipes for source in settings.sources.values()}
    families = {scheme.split("-")[0] for scheme in schemes}
    wanted = {name for name in names() if vendor(name).category in {"crm", "helpdesk"}}
    assert {name for name in wanted if name.split("-")[0] not in families} == set()


def sent(name, old="", new=""):
    """A recipe's sample as its vendor would send it, with one text for another."""
    told, (settings, source, sample) = VENDORS[name], recipe(name)
    scheme = build(settings.sources[source].spec())
    private = key_pair(name).private if "key_pair" in told else None
    body = sample.read_bytes().replace(old.encode(), new.encode())
    assert (old == new) is (body == sample.read_bytes())
    headers = Headers.of({"content-type": TYPES[sample.suffix]} | told.get("headers", {}))
    request = Request("POST", f"https://relay.example/hooks/{source}", headers, body, NOW)
    return settings, source, scheme, scheme.sign(request, id="the-sender-s-id", private=private)


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_signed_sample_becomes_the_chat(name):
    told = VENDORS[name]
    settings, source, scheme, request = sent(name)
    scheme.of(request).verify(request)
    event, verdict = wanted(dry_run(settings, source, dict(request.headers.flat()), request.body))
    assert (event["externalId"], event["type"], event["subject"]) == (
        told["external_id"],
        told["type"],
        told["subject"],
    )
    assert (verdict["rule"], verdict["body"]) == (told["rule"], chat(told["name"], told["meta"]))
    assert verdict["message"] == told["message"]


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_sample_without_what_matters_is_wanted_by_no_rule(name):
    told = VENDORS[name]
    assert "quiet" in told or "quiet_headers" in told
    settings, source, _, request = sent(name, *told.get("quiet", ()))
    headers = dict(request.headers.flat()) | told.get("quiet_headers", {})
    (tried,) = dry_run(settings, source, headers, request.body)["events"]
    assert not any(verdict["matched"] for verdict in tried["rules"])


async def no_fetch(url):
    raise AssertionError(f"nothing is fetched here: {url}")


@pytest.mark.parametrize("name", [*WEBHOOKS, *VENDORS])
async def test_a_sample_that_the_console_sends_is_wanted_by_the_rule_of_the_recipe(name):
    settings, source, _ = recipe(name)
    hook = make_hook(source, settings.sources[source], settings.vars)
    court = Court({source: hook}, None, 1 << 20, new_id, no_fetch)
    samples = Samples(court, lambda name: False, new_id, lambda: NOW)
    if "key_pair" in VENDORS.get(name, {}):
        with pytest.raises(Conflict, match="private key that only it has"):
            await samples.make(source)
        return
    events = await samples.make(source)
    _, verdict = wanted(try_events(events, make_rules(settings)))
    assert verdict["rule"] == VENDORS.get(name, verdict)["rule"]
    [again] = await samples.make(source)
    assert again.external_id != events[0].external_id, "a second one is no duplicate"


@pytest.mark.parametrize("name", WEBHOOKS)
def test_a_signed_sample_becomes_the_chat(name):
    settings, source, sample = recipe(name)
    body = sample.read_bytes()
    scheme = build(settings.sources[source].spec())
    url = f"https://relay.example/hooks/{source}"
    headers = sign(scheme, body, now=NOW, id="the-sender-s-id", type="issues.opened", url=url)
    scheme.verify(Request("POST", url, Headers.of(headers), body, NOW + 60_000))
    event, verdict = wanted(dry_run(settings, source, headers, body))
    told = WEBHOOKS[name]
    assert (event["externalId"], event["type"]) == told["identity"]
    assert verdict["body"] == chat(told["name"], told["meta"])
    assert verdict["message"] == told["message"]


@pytest.mark.parametrize("name", WEBHOOKS)
def test_the_sample_without_what_makes_it_important_is_wanted_by_no_rule(name):
    settings, source, sample = recipe(name)
    body = sample.read_bytes()
    headers = sign(build(settings.sources[source].spec()), body, now=NOW, id="x", type="issues.opened")
    changed = {
        "zendesk": body.replace(b"URGENT", b"LOW"),
        "github": body.replace(b'"opened"', b'"closed"'),
        "standard-webhooks": body.replace(b"48000", b"4800"),
        "hmac": body.replace(b"1840.5", b"184.05"),
    }[name]
    assert changed != body
    (tried,) = dry_run(settings, source, headers, changed)["events"]
    assert not any(verdict["matched"] for verdict in tried["rules"])


def test_only_bugs_take_the_first_rule_of_the_github_recipe():
    settings, source, sample = recipe("github")
    body = sample.read_bytes()
    plain = body.replace(b'"name": "bug"', b'"name": "question"')
    _, verdict = wanted(dry_run(settings, source, {"x-github-event": "issues"}, plain))
    assert verdict["rule"] == "code-new-issue"
    assert verdict["body"]["name"] == "Issue in example/project: Webhook retries are not logged"


DEAL = chat("Won: Northwind, 120 seats", {"dealId": 90210, "owner": "kim@example.com"})


def test_a_plain_message_becomes_the_chat():
    settings, source, sample = recipe("amqp")
    body = sample.read_bytes()
    event, verdict = wanted(dry_run(settings, source, {"routing-key": "deal.won"}, body))
    assert (event["externalId"], event["type"]) == ("evt-70013", "deal.won")
    assert (verdict["body"], verdict["message"]) == (DEAL, "Prepare the handover of Northwind, 120 seats.")


def test_a_cloudevent_becomes_the_same_chat_in_both_modes():
    settings, source, sample = recipe("amqp")
    body = sample.read_bytes()
    deal = json.loads(body)["deal"]
    attributes = {"specversion": "1.0", "id": "ce-1", "source": "/crm", "type": "com.example.deal.won"}
    whole = json.dumps({**attributes, "datacontenttype": "application/json", "data": {"deal": deal}}).encode()
    structured = {"content-type": "application/cloudevents+json"}
    binary = {f"cloudEvents:{name}": value for name, value in attributes.items()} | {"content-type": "application/json"}
    data = json.dumps({"deal": deal}).encode()
    for headers, sent in ((structured, whole), (binary, data)):
        event, verdict = wanted(dry_run(settings, source, headers, sent))
        assert (event["externalId"], event["type"]) == ("ce-1", "com.example.deal.won")
        assert verdict["body"] == DEAL


def test_a_message_without_the_id_of_the_template_keeps_its_message_id():
    settings, source, sample = recipe("amqp")
    body = sample.read_bytes()
    bare = json.dumps({"deal": json.loads(body)["deal"]}).encode()
    event, _ = wanted(dry_run(settings, source, {"message-id": "m-1", "type": "deal.won"}, bare))
    assert event["externalId"] == "m-1"
