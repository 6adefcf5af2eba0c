"""`relay check` with tests beside rules, and `relay try` with the keys of rules."""

import json

import pytest

CONFIG = """\
cargo: {base_url: "http://127.0.0.1:8090/v1", token: any}
sources:
  crm: {type: webhook, scheme: bearer, secret: "${CRM_TOKEN}", event: {id: "{{ data.id }}"}}
rules:
  - name: won
    let: {amount: "{{ data.deal.amount }}"}
    when: data.stage == "won" and amount > 5
    ignore: data.by == "agent"
    sample: 100%
    chat: {name: "Won {{ amount }}", trigger: {type: draft}}
  - name: trial
    shadow: true
    chat: {trigger: {type: draft}}
"""
PASSES = """
tests:
  - {name: a large deal, source: crm, event: {id: 1, stage: won, deal: {amount: 7}}, expect: {rules: [won]}}
"""
FAILS = """\
  - name: a small deal
    source: crm
    event: {id: 1, stage: won, deal: {amount: 5}}
    expect: {rules: [won]}
"""


@pytest.fixture
def write(tmp_path):
    def write(tests):
        (tmp_path / "relay.yaml").write_text(CONFIG + tests)

    return write


def test_tests_run_without_secrets_and_are_counted(relay, write):
    write(PASSES)
    result = relay("check", "-c", "relay.yaml")
    assert result.exit_code == 0
    assert "tests (1): all passed" in result.stdout


def test_a_test_that_fails_says_where_and_why_and_ends_with_1(relay, write):
    write(PASSES + FAILS)
    result = relay("check", "-c", "relay.yaml")
    assert result.exit_code == 1
    assert "tests (2): 1 failed" in result.stdout
    assert "relay.yaml:17:5: test failed: a small deal\n" in result.stderr
    assert '    rules: won makes no chat: when is false; data.stage is "won"; amount is 5\n' in result.stderr
    assert "relay: one test failed; fix the rules, or what the tests expect" in result.stderr


def test_a_program_gets_each_test_with_its_differences(relay, write):
    write(PASSES + FAILS)
    result = relay("check", "-c", "relay.yaml", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["ok"], document["faults"]) == (False, [])
    assert [(test["name"], test["place"], test["passed"]) for test in document["tests"]] == [
        ("a large deal", "relay.yaml:16:5", True),
        ("a small deal", "relay.yaml:17:5", False),
    ]
    assert document["tests"][1]["diff"][0].startswith("rules: won makes no chat")


def test_without_tests_nothing_is_said_of_them(relay, write):
    write("")
    assert "tests" not in relay("check", "-c", "relay.yaml").stdout


def test_try_shows_each_term_each_name_and_why_a_rule_skips(relay, write):
    write("")
    body = json.dumps({"id": 1, "stage": "won", "deal": {"amount": 7}, "by": "kim"})
    said = relay("try", "crm", "-", "-c", "relay.yaml", stdin=body).stdout
    assert "rule won: matches" in said
    assert 'true   data.stage == "won" (data.stage is "won")' in said
    assert "true   and amount > 5 (amount is 7)" in said
    assert "amount: 7" in said
    assert 'false  data.by == "agent" (data.by is "kim")' in said
    assert "the sample is the first 100%" in said
    assert '"name": "Won 7"' in said
    assert "rule trial: skips it (shadow)" in said
    document = json.loads(relay("try", "crm", "-", "-c", "relay.yaml", "--json", stdin=body).stdout)
    won, trial = document["events"][0]["rules"]
    assert [term["holds"] for term in won["conditions"]] == [True, True]
    assert (won["reason"], won["keys"]["let"], won["skip"]) == ("matched", {"amount": 7}, None)
    assert (trial["matched"], trial["reason"], trial["skip"]["why"]) == (False, "skipped", "shadow")
    assert trial["skip"]["detail"] == trial["body"] == {"trigger": {"type": "draft"}}


def test_try_shows_the_labels_and_where_the_results_go(relay, tmp_path):
    (tmp_path / "relay.yaml").write_text(
        CONFIG
        + """  - name: own
    labels: {customer: "{{ data.company }}", tier: "{{ data.tier }}"}
    result: {exchange: crm.results, routing_key: "deal.{{ data.id }}"}
    chat: {trigger: {type: draft}}
"""
    )
    (tmp_path / "deal.json").write_text('{"id": 7, "company": "Acme"}')
    document = json.loads(relay("try", "crm", "deal.json", "-c", "relay.yaml", "--json").stdout)
    [own] = [verdict for verdict in document["events"][0]["rules"] if verdict["rule"] == "own"]
    left_out = {"leftOut": "labels.tier: data.tier is missing"}
    assert own["keys"] == {
        "labels": {"customer": "Acme", "tier": left_out},
        "result": {"exchange": "crm.results", "routingKey": "deal.7"},
    }
    said = relay("try", "crm", "deal.json", "-c", "relay.yaml")
    assert 'customer: "Acme"' in said.stdout
    assert 'routingKey: "deal.7"' in said.stdout
    assert said.exit_code == 0


def test_try_ends_with_1_where_a_routing_key_cannot_be_rendered(relay, tmp_path):
    rule = """  - name: own
    result: {exchange: crm.results, routing_key: "{{ data.gone }}"}
    chat: {trigger: {type: draft}}
"""
    (tmp_path / "relay.yaml").write_text(CONFIG + rule)
    (tmp_path / "deal.json").write_text('{"id": 7}')
    said = relay("try", "crm", "deal.json", "-c", "relay.yaml")
    assert said.exit_code == 1
    assert "rule own: result.routing_key: data.gone is missing" in said.stdout
