"""`relay acts` against a running API."""

import json

import pytest

from tests.ops.desk import make_act

pytestmark = pytest.mark.usefixtures("url")


def test_acts_are_a_table_or_json(relay, memory):
    assert relay("acts").stdout == "no acts\n"
    memory.act_rows = [make_act(2, act="event.replayed", target="e-1", detail="again"), make_act(1)]
    lines = relay("acts").stdout.splitlines()
    assert lines[0].split() == ["at", "actor", "act", "target", "detail"]
    assert lines[1].split()[2:] == ["kim", "event.replayed", "e-1", "again"]
    assert [act["id"] for act in json.loads(relay("acts", "--json").stdout)["acts"]] == ["a-2", "a-1"]
    assert "there are more" in relay("acts", "--limit", "1").stdout
