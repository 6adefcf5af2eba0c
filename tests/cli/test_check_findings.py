"""check: findings in parts, values that YAML cuts, and the uuids of the examples."""

import json

import pytest

CONFIG = """\
cargo: {{base_url: "{url}", token: any}}
sources:
  helpdesk: {{type: webhook, scheme: zendesk, secret: a-long-secret-text}}
vars: {{connector: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f}}
rules:
  - name: urgent
    source: helpdesk
    chat:
      agentUuid: {agent}
      name: {name}
      trigger: {{type: connector, connectorUuid: "{{{{ vars.connector }}}}"}}
"""
OWN = "0b5bd1a3-24d5-4c6c-9f5a-7d2a8d6a1f00"
EXAMPLE = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
REAL = "https://api.getcargo.io/v1"


def findings(relay, tmp_path, *, url="http://127.0.0.1:8090/v1", agent=OWN, name="a"):
    (tmp_path / "relay.yaml").write_text(CONFIG.format(url=url, agent=agent, name=name))
    result = relay("check", "-c", "relay.yaml", "--json")
    return result.exit_code, json.loads(result.stdout)["findings"]


def test_the_uuids_of_the_examples_are_refused_for_the_real_cargo(relay, tmp_path):
    code, found = findings(relay, tmp_path, url=REAL, agent=EXAMPLE)
    assert code == 1
    assert [(each["line"], each["column"], each["key"], each["hint"]) for each in found] == [
        (4, 19, "vars.connector", "write the uuid of your connector"),
        (9, 18, "rules[urgent].chat.agentUuid", "write the uuid of your agent"),
    ]
    assert {each["severity"] for each in found} == {"fault"}
    assert found[0]["file"] == "relay.yaml"
    assert relay("serve", "-c", "relay.yaml").exit_code == 2


def test_try_and_the_simulator_take_them(relay, tmp_path):
    assert findings(relay, tmp_path, agent=EXAMPLE) == (0, [])
    (tmp_path / "relay.yaml").write_text(CONFIG.format(url=REAL, agent=EXAMPLE, name="a"))
    assert relay("try", "helpdesk", "-", "-c", "relay.yaml", stdin="{}").exit_code == 0


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("Ticket #{{ data.id }}", "Ticket"),
        ("Ticket #7", "Ticket"),
        ("Ticket # {{ data.id }}", "Ticket"),
        ("Ticket # the name in Cargo", None),
        ('"Ticket #{{ data.id }}"', None),
        ("Ticket#{{ data.id }}", None),
    ],
)
def test_a_value_that_yaml_cuts_is_told(relay, tmp_path, name, cut):
    code, found = findings(relay, tmp_path, name=name)
    told = [each for each in found if "starts a comment" in each["message"]]
    assert (code, len(told)) == (0, cut is not None)
    if cut:
        assert (told[0]["severity"], told[0]["line"], told[0]["key"]) == ("warning", 10, "rules[urgent].chat.name")
        assert f"so it is '{cut}'" in told[0]["message"]
        assert told[0]["hint"] == "put the value in quotes"
