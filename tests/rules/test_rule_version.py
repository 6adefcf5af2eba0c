"""The version of a rule: another text, or another value of a constant that it names, is another version."""

import json

import pytest

from relay.rules import make_version, rule_text


def version_of(rule, constants):
    return make_version(rule["name"], rule_text(rule), constants)


DEAL = {"name": "deal", "chat": {"name": "{{ vars.team }} {{ data.id }}"}}


def test_the_text_is_the_rule_with_the_constants_that_it_names():
    version = version_of(DEAL, {"team": "Sales", "other": 1})
    assert json.loads(version.text) == DEAL | {"vars": {"team": "Sales"}}
    assert (version.rule, len(version.hash)) == ("deal", 16)


def test_the_same_rule_is_the_same_version_whatever_else_the_configuration_says():
    assert version_of(DEAL, {"team": "Sales"}) == version_of(dict(DEAL), {"team": "Sales", "other": 2})


@pytest.mark.parametrize(
    ("rule", "constants"),
    [
        (DEAL, {"team": "Support"}),
        (DEAL | {"stop": True}, {"team": "Sales"}),
        (DEAL | {"name": "other"}, {"team": "Sales"}),
    ],
)
def test_another_text_and_another_value_are_other_versions(rule, constants):
    assert version_of(rule, constants).hash != version_of(DEAL, {"team": "Sales"}).hash


@pytest.mark.parametrize("use", ["{{ vars[data.kind] }}", "{{ vars | tojson }}", "{{ vars['team'] }}"])
def test_a_constant_under_a_computed_name_counts_all_of_them(use):
    rule = {"name": "deal", "message": use}
    assert json.loads(version_of(rule, {"team": 1, "other": 2}).text)["vars"] == {"team": 1, "other": 2}


def test_a_text_with_lone_surrogates_has_a_version():
    assert version_of({"name": "deal", "message": "\ud800"}, {}).hash
