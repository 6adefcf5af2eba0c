"""The keys of a rule that need nothing but the event: let, ignore, sample, shadow."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Permanent
from relay.model import Event, Skip, Why
from relay.rules import RuleSpec, check_rule, compile_rules
from relay.rules.check import Known
from relay.rules.explain import split
from relay.rules.keys.text import KeyText, inspect_key
from relay.rules.scope import Letting
from relay.rules.template import Condition, Template
from relay.units import share

CHAT = {"trigger": {"type": "draft"}}


def event(data=None, **changes):
    fields = {"source": "crm", "external_id": "x1", "type": "deal.changed", "received_at": 1_700_000_000_123}
    return Event(id="e1", data=data, raw=b"", digest=b"", **(fields | changes))


def rule(name="r", *, meta=None, when=None, message=None, stop=False, chat=None, **keys):
    chat = chat or (CHAT if meta is None else {"trigger": {"type": "draft", "meta": meta}})
    return RuleSpec(name, when=when, chat=chat, message=message, stop=stop, keys=keys)


def match(happened, *rules, constants=None):
    return compile_rules(rules, constants or {}).match(happened)


def meta(happened, **written):
    [rendered] = match(happened, rule(**written)).rendered
    assert rendered.failure is None, rendered.failure
    return json.loads(rendered.body)["trigger"]["meta"]


def test_a_name_of_let_keeps_its_type_and_may_use_earlier_ones():
    let = {"contact": "{{ data.contact }}", "size": "{{ contact.tags | length }}", "whole": {"of": ["{{ size }}", 1]}}
    told = {"tags": "{{ contact.tags }}", "text": "{{ contact.name }} has {{ size }}", "whole": "{{ whole }}"}
    data = {"contact": {"name": "Kim", "tags": ["a", "b"]}}
    got = meta(event(data), let=let, meta=told, when="size == 2 and 'a' in contact.tags")
    assert got == {"tags": ["a", "b"], "text": "Kim has 2", "whole": {"of": [2, 1]}}


def test_a_name_is_evaluated_once_and_only_when_it_is_used():
    evaluated = []

    def give(name, value):
        return lambda scope: evaluated.append(name) or value

    scope = Letting({"data": {}}, {"used": give("used", 5), "unused": give("unused", 6)})
    assert Template("{{ used }} {{ used }}").render(scope) == "5 5"
    assert Template("{{ used }}").render(scope) == 5
    assert Condition("used == 5 and used > 4").holds(scope)
    assert evaluated == ["used"]


def test_a_name_that_nobody_uses_may_fail():
    assert meta(event({"x": 1}), let={"unused": "{{ data.gone }}"}, meta={"x": "{{ data.x }}"}) == {"x": 1}


@pytest.mark.parametrize("text", ["{{ data.gone.at_all }}", "{{ 1 / data.zero }}", "{{ data.text | from_json }}"])
def test_a_name_that_fails_is_false_in_conditions_and_fails_templates_with_its_place(text):
    happened, let = event({"zero": 0, "text": "x"}), {"bad": text, "on_it": "{{ bad.x }}"}
    assert match(happened, rule(let=let, when="bad or on_it")).rendered == ()
    assert len(match(happened, rule(let=let, when="not bad")).rendered) == 1
    [failed] = match(happened, rule(let=let, meta={"x": "{{ on_it }}"})).rendered
    assert failed.failure.message.startswith("rule r: chat.trigger.meta.x: let.on_it: let.bad: ")
    assert meta(happened, let=let, meta={"x": "{{ on_it | default('none') }}"}) == {"x": "none"}


@pytest.mark.parametrize(
    ("let", "place", "told"),
    [
        ({"data": 1}, ("let", "data"), "means something else"),
        ({"loop": 1}, ("let", "loop"), "means something else"),
        ({"not": 1}, ("let", "not"), "means something else"),
        ({"first name": 1}, ("let", "first name"), "cannot stand in a template"),
        ({"a": "{{ b }}", "b": 1}, ("let", "a"), 'there is no "b"'),
        ({"a": {"x": ["{{ data.x | uper }}"]}}, ("let", "a", "x", 0), 'there is no filter "uper"'),
    ],
)
def test_what_let_cannot_say_is_refused_at_its_place(let, place, told):
    [fault] = check_rule(rule(let=let), {})
    assert (fault.path, fault.line) == (place, 1)
    assert told in fault.message


def test_a_name_of_let_is_known_in_every_text_of_its_rule_and_in_no_other():
    written = {"when": "deal", "message": "{{ deal }}", "ignore": "deal.old", "meta": {"x": "{{ deal }}"}}
    assert check_rule(rule(let={"deal": "{{ data.deal }}"}, **written), {}) == []
    assert {fault.path[0] for fault in check_rule(rule(**written), {})} == {"when", "message", "ignore", "chat"}


def test_what_is_ignored_is_a_skip_and_does_not_stop_the_matching():
    mine = rule("mine", ignore="data.actor == vars.agent_user", stop=True)
    rules = (mine, rule("next"))
    skipped = match(event({"actor": "4711"}), *rules, constants={"agent_user": "4711"})
    assert skipped.skips == (Skip("mine", Why.IGNORED, "data.actor == vars.agent_user"),)
    assert [rendered.rule for rendered in skipped.rendered] == ["next"]
    taken = match(event({"actor": "kim"}), *rules, constants={"agent_user": "4711"})
    assert ([rendered.rule for rendered in taken.rendered], taken.skips) == (["mine"], ())


def test_what_a_rule_does_not_match_is_no_skip():
    assert match(event({"bot": True}), rule(when="false", ignore="data.bot", shadow=True)).skips == ()


def test_an_ignore_that_cannot_be_evaluated_ignores_nothing():
    assert len(match(event({"text": "a"}), rule(ignore="data.text > 5")).rendered) == 1


@given(st.lists(st.text(min_size=1, max_size=5), unique=True, min_size=1, max_size=20))
def test_a_larger_sample_holds_the_smaller_and_all_is_all(subjects):
    def taken(part):
        sampled = rule(sample=share(part))
        return {each for each in subjects if match(event(subject=each), sampled).rendered}

    assert taken("10%") <= taken("50%") <= taken("100%") == set(subjects)


def test_a_sample_is_that_share_of_subjects_the_same_for_all_their_events():
    sampled = rule(sample=share("10%"))
    events = [event(subject=f"deal-{number}", external_id=f"x{number}") for number in range(2_000)]
    taken = [each for each in events if match(each, sampled).rendered]
    assert 150 < len(taken) < 250
    for each in taken[:20]:
        assert match(event({"other": 1}, subject=each.subject, external_id="y"), sampled).rendered
    [skip] = match(next(each for each in events if each not in taken), sampled).skips
    assert skip.why is Why.SAMPLED
    assert "the sample is the first 10%" in skip.detail


def test_without_a_subject_the_senders_id_is_sampled():
    sampled = rule(sample=share("50%"))
    taken = {number for number in range(100) if match(event(external_id=f"x{number}"), sampled).rendered}
    assert 20 < len(taken) < 80


def test_a_shadow_rule_renders_and_makes_nothing():
    shadow = rule("shadow", meta={"x": "{{ data.x }}"}, shadow=True, stop=True)
    matched = match(event({"x": 5}), shadow, rule("real"))
    assert matched.skips == (Skip("shadow", Why.SHADOW, {"trigger": {"type": "draft", "meta": {"x": 5}}}),)
    assert [rendered.rule for rendered in matched.rendered] == ["real"]
    [skip] = match(event({}), shadow).skips
    assert skip.detail == "rule shadow: chat.trigger.meta.x: data.x is missing"
    assert len(match(event({"x": 5}), rule(shadow=False)).rendered) == 1


def test_nothing_leaves_uncovered_under_a_key_that_comes_twice():
    """A key that is a number and one that is its text are one in JSON: readers see the last, the text holds both."""
    written = rule(meta={"m": "{{ {1: data.mail, '1': 'nobody'} }}"}, redact=("email",))
    [rendered] = match(event({"mail": "kim@acme.example"}), written).rendered
    assert "kim@" not in rendered.body


def test_the_explanation_shows_terms_names_sample_and_body():
    written = rule(
        let={"deal": "{{ data.deal }}", "bad": "{{ data.gone }}"},
        when="deal.amount > 5 and (data.vip or data.big) and deal.open",
        ignore="data.actor == 'bot'",
        sample=share("100%"),
        meta={"amount": "{{ deal.amount }}"},
        untrusted=("data.actor", "data.big"),
        redact=("phone", "email"),
        shadow=True,
    )
    happened = event({"deal": {"amount": 7, "open": True}, "big": True})
    [told] = compile_rules([written], {}).explain(happened)
    assert [(term["joined"], term["condition"], term["holds"]) for term in told.conditions] == [
        (None, "deal.amount > 5", True),
        ("and", "(data.vip or data.big)", True),
        ("and", "deal.open", True),
    ]
    assert (told.conditions[1]["values"], told.conditions[1]["missing"]) == ({"data.big": True}, ["data.vip"])
    assert told.keys["let"] == {
        "deal": {"amount": 7, "open": True},
        "bad": {"failed": "let.bad: data.gone is missing"},
    }
    assert told.keys["ignore"][0]["missing"] == ["data.actor"]
    assert "of all" in told.keys["sample"]
    assert (told.keys["untrusted"], told.keys["redact"], told.keys["shadow"]) == (
        {"data.big": True},
        ["email", "phone"],
        True,
    )
    assert (told.matched, told.skip.why, json.loads(told.rendered.body)["trigger"]["meta"]) == (
        False,
        "shadow",
        {"amount": 7},
    )


def test_a_term_that_cannot_be_evaluated_says_why():
    [told] = compile_rules([rule(when="data.x > 5 or data.y")], {}).explain(event({"x": "a", "y": 1}))
    assert [term["holds"] for term in told.conditions] == [None, True]
    assert "not supported between" in told.conditions[0]["error"]


@pytest.mark.parametrize(
    ("condition", "terms"),
    [
        ("a and b or c and d", [(None, "a and b"), ("or", "c and d")]),
        ("a and not b", [(None, "a"), ("and", "not b")]),
        ("'x and y' in a\n  and b", [(None, "'x and y' in a"), ("and", "b")]),
        ("a if b or c else d", [(None, "a if b or c else d")]),
        ("(a or b) and {'k': [a and b]}.k", [(None, "(a or b)"), ("and", "{'k': [a and b]}.k")]),
        ("orders and band", [(None, "orders"), ("and", "band")]),
    ],
)
def test_a_condition_is_split_at_its_outermost_words(condition, terms):
    assert split(condition) == terms


@pytest.mark.parametrize(
    ("template", "data", "key"),
    [
        ("{{ data.id }}", {"id": 7}, "7"),
        ("{{ data.id }}", {"id": " a b "}, "a b"),
        ("d-{{ data.id }}", {"id": 7}, "d-7"),
    ],
)
def test_a_key_is_a_text(template, data, key):
    assert KeyText(template, "once.key").render({"data": data}) == key


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "once.key: data.id is missing"),
        ({"id": None}, "once.key: it is null"),
        ({"id": True}, "once.key: it is true or false"),
        ({"id": ["a"]}, "once.key: it is a list"),
        ({"id": " \n"}, "once.key: it is blank"),
        ({"id": "ä" * 513}, "once.key: it has 1026 bytes; a key has at most 1024"),
        ({"id": "a\x00"}, "once.key: it holds a NUL"),
    ],
)
def test_what_is_no_key_fails_and_names_the_path(data, told):
    with pytest.raises(Permanent) as failed:
        KeyText("{{ data.id }}", "once.key").render({"data": data})
    assert str(failed.value).startswith(told)
    assert failed.value.code == "render"


@pytest.mark.parametrize(
    ("text", "warned"),
    [("deals", True), ("{{ vars.x }}", True), ("{{ 'a' ~ 1 }}", True), ("{{ data.id }}", False), ("{{ name }}", False)],
)
def test_a_key_over_a_constant_is_warned_of(text, warned):
    known = Known(frozenset({"data", "vars", "name"}), {"x": 1})
    faults = list(inspect_key(text, ("once", "key"), known))
    assert [fault.warn for fault in faults] == [True] * warned
