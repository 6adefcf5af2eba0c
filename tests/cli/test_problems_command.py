"""`relay problems` against a running API."""

import json

import pytest

from relay.model import ProblemKind, ProblemState
from tests.ops.desk import make_problem

pytestmark = pytest.mark.usefixtures("url")


def test_problems_are_a_table_or_json(relay, memory):
    assert relay("problems").stdout == "no problems\n"
    memory.problem_rows = [
        make_problem(3),
        make_problem(2, ProblemState.RESOLVED),
        make_problem(1, kind=ProblemKind.BROKER, rule=None, code="away", detail=None),
    ]
    lines = relay("problems").stdout.splitlines()
    assert lines[0].split() == ["id", "kind", "about", "state", "count", "first", "last", "event"]
    assert lines[1].split()[:7] == ["p-3", "failures", "urgent", "render", "data.id", "open", "3"]
    assert len(lines) == 3
    assert [row["id"] for row in json.loads(relay("problems", "--json").stdout)["problems"]] == ["p-3", "p-1"]
    assert relay("problems", "--state", "resolved", "--kind", "failures").stdout.splitlines()[1].startswith("p-2")
    assert "there are more" in relay("problems", "--limit", "1").stdout
    document = json.loads(relay("problems", "--limit", "1", "--json").stdout)
    assert ([row["id"] for row in document["problems"]], document["cursor"]) == (["p-3"], "p-3")


def test_problems_are_acknowledged_and_resolved(relay, memory):
    memory.problem_rows = [make_problem(1), make_problem(2)]
    result = relay("problems", "p-1", "--acknowledge")
    assert (result.exit_code, result.stdout.splitlines()[1].split()[-1]) == (0, "acknowledged")
    assert memory.problem_rows[0].acknowledged_by == "local"
    result = relay("problems", "p-1", "none", "--resolve", "--json")
    assert result.exit_code == 1
    assert [row["state"] for row in json.loads(result.stdout)["problems"]] == ["resolved"]
    assert "there is no problem none" in result.stderr


@pytest.mark.parametrize("words", [("p-1",), ("--resolve",), ("p-1", "--resolve", "--acknowledge")])
def test_wrong_use_says_how(relay, words):
    assert relay("problems", *words).exit_code == 2
