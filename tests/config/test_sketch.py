"""One rule as text: read as in a file, with the faults of one, and without the environment."""

import pytest

from relay.config import WebhookSource, read_rule
from relay.config.settings import CargoBlock, Settings
from relay.errors import Misconfigured

RULE = """\
name: urgent
source: helpdesk
when: data.priority == vars.level
chat: {trigger: {type: draft}, name: "Ticket {{ data.id }} ${HOME}"}
"""


@pytest.fixture
def settings():
    source = WebhookSource(type="webhook", scheme="none")
    return Settings(cargo=CargoBlock(token="any"), sources={"helpdesk": source}, vars={"level": "high"}, rules=())


@pytest.mark.parametrize("text", [RULE, "- " + RULE.replace("\n", "\n  ")], ids=["alone", "in a list"])
def test_a_rule_is_read_and_the_environment_is_not(settings, text):
    rule = read_rule(text, settings)
    assert (rule.name, rule.chat["name"]) == ("urgent", "Ticket {{ data.id }} ${HOME}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "rule:1:1: rule: is not one rule"),
        ("- a\n- b\n", "rule:1:1: rule: is not one rule"),
        ("just text", "rule:1:1: rule: is not one rule"),
        ("name: [", "rule:"),
        (RULE + "colour: red\n", "rule:5:1: rules[urgent].colour"),
        (RULE.replace("==", "=="[:1]), "rule:3:"),
        (RULE.replace("helpdesk", "nobody"), "is not a source: known are helpdesk"),
        (RULE.replace("vars.level", "vars.none"), "rule:3:"),
        ("name: urgent\nwhen: data.id\n", "chat"),
    ],
)
def test_faults_have_their_places(settings, text, fault):
    with pytest.raises(Misconfigured) as error:
        read_rule(text, settings)
    assert any(fault in line for line in error.value.faults), error.value.faults
