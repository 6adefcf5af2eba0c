"""Which rules want an event, in which order, and why the others do not."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import NotFound
from relay.model import Event
from relay.rules import Reason, RuleSpec, compile_rules
from relay.rules.index import Index

CHAT = {"trigger": {"type": "draft"}}


def event(data=None, source="helpdesk", kind="ticket.created"):
    return Event(
        id="e1",
        source=source,
        external_id="x1",
        type=kind,
        data=data,
        raw=b"",
        digest=b"",
        received_at=1_700_000_000_123,
    )


def names(specs, happened, **told):
    return [rendered.rule for rendered in compile_rules(specs, {}).match(happened, **told).rendered]


def spec(name, **changes):
    return RuleSpec(name=name, chat=CHAT, **changes)


ALPHABET = st.text("ab.*?[]!-", max_size=5)
PATTERNS = st.lists(ALPHABET, max_size=2).map(tuple)


@given(
    st.lists(st.tuples(PATTERNS, PATTERNS), max_size=8),
    st.lists(st.tuples(st.text("ab.[-", max_size=5), st.none() | st.text("ab.[-", max_size=5)), max_size=4),
)
def test_the_index_finds_what_trying_every_rule_finds(rules, pairs):
    index = Index([sources for sources, _ in rules], [types for _, types in rules])

    def fits(value, patterns):
        return not patterns or (value is not None and any(fnmatchcase(value, pattern) for pattern in patterns))

    for source, kind in pairs * 2:
        naive = [n for n, (sources, types) in enumerate(rules) if fits(source, sources) and fits(kind, types)]
        assert list(index.find(source, kind)) == naive
        assert [n for n in range(len(rules)) if index.has_source(n, source) and index.has_type(n, kind)] == naive


def test_the_index_remembers_a_bounded_number_of_pairs():
    index = Index([()], [("*",)])
    for number in range(10_000):
        assert index.find("s", f"type.{number}") == (0,)
    assert len(index._kept) == 4_096


def test_every_rule_that_matches_runs_in_order_until_one_stops():
    rules = [
        spec("first"),
        spec("other-source", sources=("shop",), stop=True),
        spec("glob", sources=("help*",), types=("order.*", "ticket.*")),
        spec("false", when="data.no", stop=True),
        spec("stops", when="data.yes", stop=True),
        spec("late"),
    ]
    assert names(rules, event({"yes": True})) == ["first", "glob", "stops"]
    assert names(rules, event({"yes": False})) == ["first", "glob", "late"]


def test_globs_mind_the_case_and_want_a_type():
    rules = [spec("any"), spec("star", types=("*",)), spec("case", types=("Ticket.*",)), spec("set", types=("t[!x]*",))]
    assert names(rules, event()) == ["any", "star", "set"]
    assert names(rules, event(kind=None)) == ["any"]
    assert names(rules, event(kind="Ticket.x")) == ["any", "star", "case"]


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ('data.detail.priority | lower in ["high", "urgent"]', True),
        ("data.detail.missing", False),
        ("data.nowhere.at.all", False),
        ("not data.nowhere.at.all", True),
        ("data.nowhere == 'x'", False),
        ("data.nowhere | lower == 'x'", False),
        ("'x' in data.nowhere", False),
        ("data.nowhere is defined", False),
        ("data.detail.items", True),
        ("data.detail.keys", False),
        ("data.detail.tags | select('startswith', 'v') | list | length == 1", True),
        ("event.type is startswith('ticket.') and event.source == 'helpdesk'", True),
        ("event.received_at == '2023-11-14T22:13:20.123Z' and event.time is none", True),
        ("headers['x-topic'] is defined", False),
        ("data.detail.priority\n  == 'High'", True),
    ],
)
def test_what_is_missing_is_false_in_a_condition(when, holds):
    data = {"detail": {"priority": "High", "items": [1], "tags": ["vip", "new"]}}
    told = []
    assert bool(names([spec("r", when=when)], event(data), on_when_error=lambda _, *said: told.append(said))) is holds
    assert told == []


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("data.amount > 5", "data.amount is missing"),
        ("data.deal.amount > 5", "data.deal.amount is missing: there is no data.deal"),
        ("data.text > 5", "not supported between"),
        ("1 / data.zero > 5", "division by zero"),
        ("data.text | from_json", "the text is not JSON"),
        ("data.nowhere + 1 > 2", "data.nowhere is missing"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_is_false_and_told(when, said):
    told = []
    rules = [spec("broken", when=when), spec("next")]
    happened = event({"text": "x", "zero": 0})
    assert names(rules, happened, on_when_error=lambda _, *pair: told.append(pair)) == ["next"]
    assert names(rules, happened) == ["next"]
    [(rule, message)] = told
    assert rule == "broken"
    assert said in message


def test_explain_says_of_every_rule_why():
    rules = compile_rules(
        [
            spec("shop-only", sources=("shop", "store-*")),
            spec("orders", types=("order.*",)),
            spec("wants", when="data.detail.priority == 'high' or data.vip"),
            spec("broken", when="data.amount > 5"),
            spec("yes", stop=True),
            spec("late"),
        ],
        {},
    )
    told = rules.explain(event({"detail": {}}))
    assert [(e.rule, e.matched, e.reason) for e in told] == [
        ("shop-only", False, Reason.SOURCE),
        ("orders", False, Reason.TYPE),
        ("wants", False, Reason.WHEN),
        ("broken", False, Reason.ERROR),
        ("yes", True, Reason.MATCHED),
        ("late", False, Reason.STOPPED),
    ]
    assert [e.why for e in told] == [
        "the source is helpdesk, not shop or store-*",
        "the type is ticket.created, not order.*",
        "when is false; missing: data.detail.priority, data.vip",
        "when cannot be evaluated, so it is false: data.amount is missing",
        "it matched",
        "rule yes stopped the matching",
    ]
    assert told[4].rendered == rules.match(event({"detail": {}})).rendered[0]
    assert rules.explain(event(kind=None))[1].why == "the event has no type, not order.*"


def test_one_rule_can_be_rendered_without_matching():
    rules = compile_rules([spec("never", sources=("nowhere",), when="false")], {})
    assert rules.match(event()).rendered == ()
    assert rules.render("never", event()).body == '{"trigger":{"type":"draft"}}'
    with pytest.raises(NotFound, match='there is no rule "gone"'):
        rules.render("gone", event())
