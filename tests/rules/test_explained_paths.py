"""What a condition looked at is found without Jinja where it begins with a name, and is the same as Jinja's."""

import pytest

from relay.errors import Permanent
from relay.rules import RuleSpec, compile_rules
from relay.rules.missing import Absent
from relay.rules.sandbox import LENIENT, Sandbox
from relay.rules.scope import Letting
from relay.rules.template import Condition, Expression, parse_condition
from tests.ledger.build import make_event

DATA = {"a": {"b": 2, "none": None}, "rows": [{"x": 1}, "text"], "two words": {"0": 5}, "7": "seven"}
SCOPE = Letting(
    {"data": DATA, "event": {"type": None}, "headers": {"x-a": "1"}, "vars": {"most": 3}},
    {"named": lambda scope: scope["data"]["rows"], "broken": lambda _: 1 // 0},
)


@pytest.mark.parametrize(
    "path",
    [
        *("data", "data.a.b", "data.a.none", "data.a.none.x", "data.a.b.c.d", "data.x.y[0]", "data['two words']['0']"),
        *("data.rows[0].x", "data.rows[2].x", "data.rows.x", "data[7]", "data['7']", "data[1.5]"),
        *("event.type", "headers['x-a']", "vars.most", "vars.least", "named[0].x", "named.x", "broken", "broken.x"),
        *("nowhere", "nowhere.x[1]", "data.a.items", "range.x", "(data.rows | first).x", "(data.a or data.b).b"),
        *("data.rows[-1].x", "data.rows[data.a.b - 2].x", "data.rows[data.a.b].x.y", "{'k': data.a}.k.b", "'text'.x"),
    ],
)
def test_a_path_is_what_jinja_makes_of_it(path):
    jinja = Expression(LENIENT, parse_condition(path))(SCOPE)
    condition = Condition(path)
    told = (list(condition.values(SCOPE).values()), condition.gaps(SCOPE))
    if isinstance(jinja, Absent):
        assert told == ([], [jinja.path])
    else:
        assert told[0] in ([jinja], [])  # what begins with no name, or has a computed key, has no place to be told by
        assert told[1] == []


def test_a_path_that_fails_is_told_as_the_condition_that_fails():
    with pytest.raises(Permanent, match="the product would be too large"):
        Condition("(range(100000) | list * 1000).x").gaps(SCOPE)


def test_what_was_explained_once_is_explained_again_without_a_compiler(monkeypatch):
    when = "data.a.b > 1 and data.rows[0].x == 5 or (data.rows | first).x and vars.most"
    rules = compile_rules([RuleSpec("any", when=when, chat={"trigger": {"type": "draft"}})], {"most": 3})
    event = make_event(body=DATA)
    before = rules.explain(event)

    def refuse(*_, **__):
        raise AssertionError("it is compiled again")

    monkeypatch.setattr(Sandbox, "_parse", refuse)
    monkeypatch.setattr(Sandbox, "from_string", refuse)
    monkeypatch.setattr("relay.rules.template.Parser", refuse)
    assert rules.explain(event) == before
