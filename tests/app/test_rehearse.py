"""A rehearsal: which chats new rules would make of past events, beside those of the rules in force."""

import re

import pytest

from relay.app import Rehearsal, make_rules, past_events, rules_of_document
from relay.config import describe, load
from relay.errors import NotFound, Refused
from relay.ledger import Terms, open_ledger
from relay.model import EventQuery
from relay.rules import keys
from tests.ledger.build import make_entry, make_event

CONFIG = """\
cargo: {{token: any}}
vars: {{least: 5}}
sources: {{helpdesk: {{type: webhook, scheme: none}}}}
rules:
{rules}
"""
OLD = """\
  - name: big
    type: ticket.created
    when: data.amount > vars.least
    chat: {name: "Deal {{ data.amount }}", trigger: {type: draft}}
    message: "Look at it"
"""


@pytest.fixture
def settings(tmp_path):
    def make(rules):
        path = tmp_path / "relay.yaml"
        path.write_text(CONFIG.format(rules=rules))
        return load([path], {}).settings

    return make


@pytest.fixture
def rehearse(settings):
    """The document of a rehearsal of `new` in place of `old` with events of these data."""

    def run(new, *bodies, old=OLD):
        made = Rehearsal(make_rules(settings(old)), make_rules(settings(new)))
        for body in bodies:
            made.take(make_event(body=body))
        return made.document()

    return run


def counts(document):
    return {kind: document[kind] for kind in ("more", "fewer", "changed")}


def examples(document):
    return {example["kind"]: example for rule in document["rules"] for example in rule["examples"]}


def test_the_same_rules_make_no_difference(rehearse):
    document = rehearse(OLD, {"amount": 7}, {"amount": 3})
    assert (document["events"], document["today"], document["new"]) == (2, 1, 1)
    assert counts(document) == {"more": 0, "fewer": 0, "changed": 0}


def test_more_chats_are_counted_with_why_there_was_none_and_the_whole_chat(rehearse):
    document = rehearse(OLD.replace("> vars.least", "> 2"), {"amount": 7}, {"amount": 3}, {"amount": 4})
    assert counts(document) == {"more": 2, "fewer": 0, "changed": 0}
    example = examples(document)["more"]
    assert example["why"].startswith("when is false")
    assert '+  "name": "Deal 3",' in example["diff"]
    assert "+message: Look at it" in example["diff"]


def test_fewer_chats_are_counted_with_why_there_is_none(rehearse):
    document = rehearse(OLD.replace("> vars.least", "> 9"), {"amount": 7})
    assert counts(document) == {"more": 0, "fewer": 1, "changed": 0}
    assert "data.amount is 7" in examples(document)["fewer"]["why"]
    gone = rehearse("  - {name: other, source: nobody*, chat: {trigger: {type: draft}}}", {"amount": 7})
    assert examples(gone)["fewer"]["why"] == "there is no such rule"


def test_a_changed_body_shows_its_diff(rehearse):
    document = rehearse(OLD.replace("Deal {{", "Won {{").replace("Look", "Look closely"), {"amount": 7}, {"amount": 8})
    assert counts(document) == {"more": 0, "fewer": 0, "changed": 2}
    lines = examples(document)["changed"]["diff"]
    assert [line for line in lines if line[0] in "+-"] == [
        '-  "name": "Deal 7",',
        '+  "name": "Won 7",',
        "-message: Look at it",
        "+message: Look closely at it",
    ]


def test_a_chat_that_cannot_be_rendered_any_more_is_one_fewer_with_the_path(rehearse):
    document = rehearse(OLD.replace("Deal {{ data.amount }}", "{{ data.gone }}"), {"amount": 7})
    assert counts(document)["fewer"] == 1
    assert "data.gone is missing" in examples(document)["fewer"]["why"]


def test_a_rule_that_was_renamed_is_no_difference(rehearse):
    assert counts(rehearse(OLD.replace("name: big", "name: large"), {"amount": 7})) == {
        "more": 0,
        "fewer": 0,
        "changed": 0,
    }


def test_a_shadow_makes_no_chat(rehearse):
    assert counts(rehearse(OLD + "    shadow: true\n", {"amount": 7}))["fewer"] == 1


def test_what_the_ledger_decides_is_named_and_what_all_rules_have_is_not(rehearse):
    keys = '    once: "{{ data.amount | string }}"\n    priority: 3\n    ignore: data.bot\n'
    document = rehearse(OLD + keys, {"amount": 7})
    assert document["notJudged"] == [{"rule": "big", "keys": ["once"]}]


def test_what_cannot_be_read_is_counted(rehearse, settings):
    made = Rehearsal(make_rules(settings(OLD)), make_rules(settings(OLD)))
    for event in (make_event(unreadable="no JSON"), Refused("locked"), None):
        made.take(event)
    document = made.document()
    assert (document["events"], document["unread"]) == (3, 2)


KEYS = (
    """once: {key: "{{ data.amount | string }}", within: 7d}, loop: off, delay: 5m""",
    """schedule: "mon-fri 09:00-18:00 Europe/Paris", ignore: data.ours""",
    """schedule: {open: ["08:00-12:00 UTC", "14:00-18:00 UTC"], except: [2026-12-25]}, sample: 10%""",
    """delay: {for: 15m, key: "{{ data.amount }}", unless: [{type: solved, key: "{{ data.id }}"}]}""",
    """delay: {for: 15m, key: "{{ data.amount }}", unless: {source: helpdesk, when: data.ok, key: "{{ data.id }}"}}""",
    """limit: [{rate: 100/d}, {rate: 3/h, key: "{{ data.amount }}", then: park}], priority: 9""",
    """budget: {credits: 500/d, chats: 200/d, warn: 80%, zone: Europe/Paris}, expires: 15m, shadow: true""",
    """debounce: {key: "{{ data.amount }}", wait: 60s, max: 10m, keep: all}, labels: {size: "{{ data.amount }}"}""",
    """thread: {key: "{{ data.amount }}", idle: 7d}, follow: "More: {{ data.amount }}", redact: [email, phone]""",
    """order: {key: "{{ data.amount }}", skip: parked}, loop: {key: "{{ data.amount }}", trips: 5/10m}""",
    """changed: {key: "{{ data.id }}", of: ["{{ data.x }}"], first: skip}, newest: {key: "{{ data.id }}", by: "1"}""",
    """let: {lots: "{{ data.amount }}"}, untrusted: [data.text], untrusted_max: 100, stop: true, on_unknown: retry""",
    """result: {exchange: crm.results, routing_key: "deal.{{ data.id }}"}""",
)
RULE = """\
  - {{name: big, type: [ticket.created, "deal.*"], message: "Look at {{{{ data.amount }}}}", {keys},
     chat: {{trigger: {{type: draft, meta: {{tags: [], of: [{{}}, []]}}}}}}}}
"""


@pytest.mark.parametrize("keys", KEYS)
def test_the_rules_that_the_api_tells_are_those_in_force(settings, keys):
    made = settings(RULE.format(keys=keys))
    assert rules_of_document(describe(made)["settings"]).versions == make_rules(made).versions


def test_every_key_of_a_rule_is_among_them():
    assert {key.name for key in keys.KEYS} <= {name for text in KEYS for name in re.findall(r"(\w+): ", text)}


async def test_events_are_read_from_a_ledger_and_only_those_that_a_rule_wants(settings, tmp_path):
    made = settings(OLD).model_copy(update={"ledger": settings(OLD).ledger.model_copy(update={"url": url(tmp_path)})})
    with pytest.raises(NotFound, match="there is no ledger"):
        await read(made)
    ledger = await open_ledger(url(tmp_path), Terms(owner="one"))
    wanted, other = make_entry(rules=()), make_entry(rules=(), source="shop")
    await ledger.accept([wanted, other])
    await ledger.aclose()
    assert [event and event.id for event in await read(made)] == [None, wanted.event.id]


def url(folder):
    return f"sqlite:///{folder}/past.db"


async def read(settings):
    events = past_events(settings, EventQuery(limit=1), lambda source, _: source == "helpdesk")
    return [event async for event in events]
