"""Conditions that compare paths with constants take a short way; it must say what Jinja says of everything."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.errors import Permanent
from relay.rules import plain
from relay.rules.sandbox import LENIENT
from relay.rules.template import Condition, Expression, describe, parse_condition

PATHS = st.sampled_from(["data.a", "data.b", "data.a.b", 'data["a b"]', "event.type", "data", "vars.x", "data.a.b.c"])
CONSTANTS = st.sampled_from(['"a"', '"b"', '""', "0", "1", "2", "-1", "1.0", "2.5", "true", "false", "none", "[1]"])
COMPARISONS = st.builds(
    "{} {} {}".format, PATHS, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]), CONSTANTS
)
CONDITIONS = st.recursive(
    st.one_of(PATHS, COMPARISONS, st.builds("{1} == {0}".format, PATHS, CONSTANTS), st.just("data.a is defined")),
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, -1, 1.0, 2.5, "", "a", "b", "1"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b", "c", "a b"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def by(holds):
    """What a condition says, or why it cannot be told."""
    try:
        return holds()
    except Permanent as error:
        return str(error)


def by_jinja(text, scope):
    evaluate = Expression(LENIENT, parse_condition(text))
    try:
        return bool(evaluate(scope))
    except Exception as error:  # noqa: BLE001 - as the condition itself
        return describe(error)


@given(text=CONDITIONS, data=VALUES, kind=st.sampled_from([None, "a", "b"]))
@example(text='data.a == "a"', data={"a": None}, kind=None)
@example(text="data.a != 1", data={"a": True}, kind=None)
@example(text="data.a == 1", data={"a": 1.0}, kind=None)
@example(text="data.a.b != 1", data={"a": "a"}, kind=None)
def test_it_says_what_jinja_says(text, data, kind):
    scope = {"data": data, "event": {"type": kind}, "headers": {}, "vars": {"x": "a"}}
    assert by(lambda: Condition(text).holds(scope)) == by_jinja(text, scope)


@pytest.mark.parametrize(
    ("text", "data", "holds"),
    [
        ('data.a == "a"', {"a": "a"}, True),
        ('data.a == "a"', {}, False),
        ('data.a != "a" and not data.b', {"a": "b"}, True),
        ('data.a.b > 2 or data["a b"]', {"a": {"b": 2}, "a b": [1]}, True),
        ("data.a < 3", {"a": 2}, True),
        ("data.a < 3", {}, None),
        ("data.a == 1", {"a": True}, None),
    ],
)
def test_jinja_is_asked_for_the_rest_alone(text, data, holds):
    """None stands for what is Jinja's to judge."""
    scope = {"data": data, "event": {}, "headers": {}, "vars": {}}
    assert plain.condition(parse_condition(text), lambda _: None)(scope) is holds
