"""`relay rules`, `pause`, `resume` and `usage` against a running API."""

import json

import pytest

from relay.model import Usage
from tests.ops.desk import NOW

pytestmark = pytest.mark.usefixtures("url")
DAY = 86_400_000


def test_rules_are_a_table_one_rule_or_json(relay):
    lines = relay("rules").stdout.splitlines()
    assert lines[0].split() == ["rule", "state", "chats", "failed", "skipped", "held", "parked"]
    assert lines[1].split() == ["urgent", "runs", "4", "1", "ignored", "2", "3", "2"]
    assert "name: urgent" in relay("rules", "urgent").stdout.splitlines()
    assert json.loads(relay("rules", "urgent", "--json").stdout)["text"] == "name: urgent\n"
    assert [row["name"] for row in json.loads(relay("rules", "--json").stdout)["rules"]] == ["urgent"]
    missing = relay("rules", "none")
    assert (missing.exit_code, "there is no rule" in missing.stderr) == (1, True)


def test_a_rule_or_a_source_is_paused_and_resumed(relay, desk):
    assert relay("pause", "rule", "urgent").stdout == "rule urgent is paused\n"
    assert relay("rules").stdout.splitlines()[1].split()[1] == "paused"
    assert relay("resume", "rule", "urgent").stdout == "rule urgent is resumed\n"
    assert json.loads(relay("pause", "source", "helpdesk", "--json").stdout) == {"name": "helpdesk", "paused": True}
    assert relay("resume", "source", "helpdesk").exit_code == 0
    assert desk.paused == set()
    assert relay("pause", "rule", "none").exit_code == 1
    assert relay("pause", "queue", "urgent").exit_code == 2


def test_usage_is_a_table_with_a_sum_or_json(relay, memory):
    assert relay("usage").stdout == "no chats\n"
    memory.usage_rows = [Usage(NOW - NOW % DAY, "urgent", 3, 1.5, NOW), Usage(NOW - NOW % DAY, "other", 1, None, None)]
    lines = relay("usage", "--since", "2026-01-01T00:00:00Z").stdout.splitlines()
    assert [line.split()[1:] for line in lines[1:3]] == [["urgent", "3", "1.5"], ["other", "1", "unknown"]]
    assert lines[3] == "in all: 4 chats, 1.5 credits"
    shown = relay("usage", "--rule", "urgent", "--since", "2026-01-01T00:00:00Z", "--json").stdout
    assert json.loads(shown)["chats"] == 3
