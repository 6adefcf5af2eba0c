"""What each rule made of an event of the past: by the rules of then, with what the ledger decided beside them."""

import pytest

from relay.app import make_rules
from relay.app.explain import explain_past
from relay.config import load
from relay.model import EventDetail, EventStatus, Skip, Why
from tests.ledger.build import make_event

CONFIG = """\
cargo: {{token: any}}
vars: {{least: {least}, other: 1}}
sources: {{helpdesk: {{type: webhook, scheme: none}}, shop: {{type: webhook, scheme: none}}}}
rules:
  - {{name: foreign, source: shop, chat: {{trigger: {{type: draft}}}}}}
  - {{name: urgent, when: data.amount > vars.least and data.open, stop: true, chat: {{trigger: {{type: draft}}}}}}
  - {{name: other, type: "ticket.*", changed: {{key: "{{{{ data.id }}}}", of: ["{{{{ data.amount }}}}"]}},
      chat: {{trigger: {{type: draft}}}}}}
"""


@pytest.fixture
def rules(tmp_path):
    def make(least):
        path = tmp_path / "relay.yaml"
        path.write_text(CONFIG.format(least=least))
        return make_rules(load([path], {}).settings)

    return make


def explain(event, versions, present, *skips):
    detail = EventDetail(event, EventStatus.UNMATCHED, (), (), (), skips)
    document = explain_past(detail, versions, present)
    return document["asOf"], {verdict["rule"]: verdict for verdict in document["rules"]}


def test_each_rule_for_its_source_and_type_is_explained_as_it_was(rules):
    event = make_event(body={"id": "x", "amount": 7, "open": True})
    as_of, verdicts = explain(event, rules(9).versions, rules(5))
    assert (as_of, list(verdicts)) == ("then", ["urgent", "other"])
    assert [(term["condition"], term["holds"]) for term in verdicts["urgent"]["conditions"]] == [
        ("data.amount > vars.least", False),
        ("data.open", True),
    ]
    assert verdicts["urgent"]["conditions"][0]["values"] == {"data.amount": 7, "vars.least": 9}
    assert (verdicts["urgent"]["matched"], verdicts["other"]["matched"]) == (False, True)


def test_a_rule_that_stopped_the_matching_then_is_the_reason_for_those_behind_it(rules):
    event = make_event(body={"id": "x", "amount": 7, "open": True})
    _, verdicts = explain(event, rules(5).versions, rules(9))
    assert verdicts["urgent"]["matched"]
    assert verdicts["other"]["why"] == "rule urgent stopped the matching"


def test_what_the_ledger_decided_is_told_as_it_decided_it(rules):
    event = make_event(body={"id": "x", "amount": 1, "open": True})
    _, verdicts = explain(event, rules(9).versions, rules(9), Skip("other", Why.UNCHANGED, "amount is 1 as before"))
    other = verdicts["other"]
    assert (other["matched"], other["reason"]) == (False, "skipped")
    assert other["why"] == "it was skipped: unchanged, amount is 1 as before"
    assert other["skip"]["why"] == "unchanged"


def test_where_the_rules_of_then_are_gone_those_in_force_are_asked_and_it_says_so(rules):
    event = make_event(body={"id": "x", "amount": 7, "open": True})
    as_of, verdicts = explain(event, (), rules(5))
    assert (as_of, verdicts["urgent"]["matched"]) == ("now", True)


def test_what_could_not_be_read_met_no_rule(rules):
    assert explain(make_event(unreadable="no JSON"), rules(5).versions, rules(5)) == ("then", {})
