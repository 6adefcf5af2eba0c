"""A rule like one without faults is not checked again: it must have none, either."""

import ast
import inspect
import textwrap
from collections import defaultdict
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.rule import Rule
from relay.rules import Fault, RuleChecker, RuleSpec, check_rule
from relay.rules.alike import likeness
from relay.rules.keys import KEYS as KEYS_OF_RULES
from relay.rules.keys import Key

UUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
OTHER = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"
VARS = {"agent": UUID, "bad": "agent", "none": None}
CHAT = {
    "agentUuid": UUID,
    "name": "Deal 1",
    "trigger": {"type": "connector", "connectorUuid": UUID, "meta": {"type": "deal", "id": [1, "{{ data.id }}"]}},
}
BASE = RuleSpec("first", chat=CHAT)
TEXTS = [
    *("{{ data.a }}", "{{ data.b.c }}", "{{ data.rows[0] }}", "Deal 7: {{ data.a }}", "Deal 8: {{ data.z }}", "a", "b"),
    *("{{ vars.agent }}", " {{ vars.agent }}\n", "{{ vars.bad }}", "{{ vars.bad }}, it says", "{{ vars.gone }}"),
    *(
        '{{ data.a == "x" }}',
        '{{ data.a == "y" }}',
        "{{ data.a | nofilter }}",
        "{{ data.a",
        "{{ data.a }}{{ vars.bad }}",
    ),
    *("{% if data.a == 1 %}x{% endif %}", "{% if data.b == 2 %}y{% endif %}", "{% if data.b %}", "{# {{ data.a }} #}"),
    *("{{ data.a }}\x00", "{{ data.b }}\ud800", "\x00", "\ud800", "", " ", "\n", UUID, OTHER, UUID[:-1]),
    *("connector", "draft", "workflow", "conector", "data.a == 5", "data.b.c == 6", "data.a in [1]", "nobody == 5"),
]
VALUES = [
    *(*TEXTS, None, True, False, 1, 0, 1.5, 2.5, float("nan"), float("inf"), [], ["a"], ["\x00"], [float("nan")]),
    *({}, {"a": "b"}, {"a": "c"}, {"relay": 1}, {"{{ data.a }}": 1}, {"a": {"b": "{{ vars.gone }}"}}, {1: 2}, {"1": 2}),
    *({"type": "draft"}, {"type": "chat"}, {"type": "chat", "uuid": UUID}, {"type": "chat", "uuid": "{{ vars.bad }}"}),
]
PLACES = [
    *(("agentUuid",), ("name",), ("trigger",), ("nmae",), ("releaseUuid",)),
    *(("trigger", "type"), ("trigger", "connectorUuid"), ("trigger", "meta"), ("trigger", "other")),
    *(("trigger", "meta", "id"), ("trigger", "meta", "type"), ("trigger", "meta", "id", 1)),
]


def put(path: tuple[str | int, ...], value: Any) -> RuleSpec:
    chat: Any = deepcopy(CHAT)
    inner = chat
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return RuleSpec("rule", chat=chat)


def require_same_verdict_of_alike(rules: list[RuleSpec]) -> None:
    faulty = defaultdict(set)
    for rule in rules:
        if (alike := likeness(rule)) is not None:
            faulty[alike].add(bool(check_rule(rule, VARS)))
    assert all(len(each) == 1 for each in faulty.values()), faulty


@pytest.mark.parametrize("place", PLACES, ids=[".".join(map(str, place)) for place in PLACES])
def test_bodies_that_are_alike_in_a_value_have_faults_or_none(place: tuple[str | int, ...]) -> None:
    assert check_rule(BASE, VARS) == []
    require_same_verdict_of_alike([put(place, value) for value in VALUES])


@pytest.mark.parametrize("key", ["when", "message", "follow"])
def test_texts_that_are_alike_have_faults_or_none(key: str) -> None:
    keys = Rule.model_validate({"name": "r", "chat": {}, "thread": {"key": "{{ data.id }}", "idle": "1d"}}).spec.keys
    spec = replace(BASE, message="Deal 1", keys=keys)
    assert check_rule(spec, VARS) == []
    require_same_verdict_of_alike([replace(spec, **{key: text}) for text in [None, *TEXTS]])


KEYS = st.fixed_dictionaries(
    {},
    optional={
        "let": st.sampled_from([{"deal": "{{ data.a }}"}, {"deal": "{{ data.b }}"}, {"deal": "{{ nobody }}"}]),
        "once": st.sampled_from([{"key": "{{ data.id }}", "within": "7d"}, {"key": "{{ nobody }}", "within": "7d"}]),
        "thread": st.sampled_from([{"key": "{{ data.id }}", "idle": "7d"}, {"key": "{{ data.b }}", "idle": "8d"}]),
        "untrusted": st.sampled_from(["data.a", "data.b", "5"]),
        "untrusted_max": st.just(80),
        "debounce": st.just({"key": "{{ data.id }}", "wait": "60s", "max": "10m", "keep": "all"}),
    },
)


@st.composite
def specs(draw: st.DrawFn) -> RuleSpec:
    some = st.one_of(st.none(), st.sampled_from([*TEXTS, "{{ deal }}", "{{ events }}"]))
    spec = Rule.model_validate({"name": "rule", "chat": CHAT} | draw(KEYS)).spec
    return replace(spec, when=draw(some), message=draw(some))


@given(st.lists(specs(), max_size=20))
def test_many_rules_have_the_faults_that_each_has_alone(rules: list[RuleSpec]) -> None:
    checker = RuleChecker(VARS)

    def told(faults: list[Fault]) -> str:
        return repr(faults)

    assert [told(checker.check(rule)) for rule in rules] == [told(check_rule(rule, VARS)) for rule in rules]


def test_rules_that_differ_in_constants_are_alike() -> None:
    def make(number: int) -> RuleSpec:
        return RuleSpec(
            f"rule-{number}",
            types=(f"deal.{number}",),
            when=f'data.team == "team-{number}" and data.amount > {number}',
            chat={
                "name": f"Deal {number}: {{{{ data.title }}}}",
                "trigger": {"type": "connector", "connectorUuid": UUID},
            },
            message=f"Deal {number} changed: {{{{ data.title }}}}",
        )

    assert check_rule(make(1), {}) == []
    assert len({likeness(make(number)) for number in range(100)}) == 1


def test_a_rule_whose_key_reads_its_texts_is_like_no_other() -> None:
    assert likeness(replace(BASE, keys={"untrusted": ("data.a",)})) is None


@pytest.mark.parametrize("key", KEYS_OF_RULES, ids=lambda key: key.name)
def test_a_key_that_looks_into_the_rules_texts_says_so(key: type[Key]) -> None:
    """Of the rule it may ask which keys it has, and whether it has a message: that, likeness has as it is."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(key.check)))
    harmless = sum(ast.unparse(node) == "spec.keys" for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    harmless += sum(
        isinstance(node.ops[0], ast.Is | ast.IsNot) and ast.unparse(node.left) in {"spec.message", "spec.follow"}
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
    )
    places = sum(isinstance(node, ast.Name) and node.id == "spec" for node in ast.walk(tree))
    assert key.reads_texts == (places > harmless), key.name
