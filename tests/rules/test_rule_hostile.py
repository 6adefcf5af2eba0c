"""What a stranger may send fails a dispatch at worst: it never raises out of the rules, which would stop a queue."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.config.rule import Rule
from relay.model import Event
from relay.rules import compile_rules
from relay.rules.keys import KEYS
from relay.rules.keys.ignore import Ignore
from relay.rules.keys.once import Once
from relay.rules.keys.redact import Redact
from relay.rules.keys.result import ResultKey
from relay.rules.keys.shadow import Shadow

LONGEST = int("9" * 4_300)
"""The longest integer that a body may hold: 4,300 digits are the most that Python reads and writes."""
LEAVES = (
    st.sampled_from([LONGEST, -LONGEST, 10**400, 10**309, 2**53 + 1, 1e308, float("inf"), 5e-324, 0, -1, 1.5])
    | st.sampled_from(["", " ", "\0", "\ud800", '"\\ud800"', "9" * 400, "9" * 5_000, f"[{'1' * 5_000}]", "[" * 300])
    | st.sampled_from(["²", "١٢", "--1", "1.", ".", "1e5", "9999-12-31T23:59:60Z", "0001-01-01T00:00:00+14:00"])
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.datetimes().map(str)
)
VALUES = st.recursive(LEAVES, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each))
EXPRESSIONS = [
    *("data.v", "data.v * 100", "-data.v", "data.v ** 2", "data.v / 3", "data.v | round", "data.v | int | string"),
    *("data.v | float", "data.v | abs", "data.v | from_json", "data.v | tojson", "data.v | iso", "data.v | timestamp"),
    *("[data.v * 9]", "[data.gone]", "[data.v] | map('int')", "{'a': data.v * 9}", "data", "data.v | in_zone('UTC')"),
    *("data.v[0]", "data.v.a", "data.v | fence", "'%d' | format(data.v)", "range(data.v)", "data.v < 3", "data.v ~ 1"),
]
KEYED = "{{ data.k }}"


def ruled_by(text, bare):
    """Rules each of which has one key, or one text, that hangs on the template."""
    yield {"once": text}
    yield {"newest": {"key": KEYED, "by": text}}
    yield {"newest": {"key": text, "by": "1"}}
    yield {"changed": {"key": KEYED, "of": [text, text]}}
    yield {"changed": {"key": text, "of": [KEYED]}}
    yield {"debounce": {"key": text, "wait": "1m"}}
    yield {"debounce": {"key": text, "wait": "1m", "keep": "all"}}
    yield {"thread": {"key": text, "idle": "1m"}, "message": text}
    yield {"order": text}
    yield {"loop": text}
    yield {"limit": [{"rate": "1/s", "key": text}]}
    yield {"delay": {"for": "1m", "key": text, "unless": {"key": text, "when": f"({bare}) or true"}}}
    yield {"labels": {"a": text}}
    yield {"result": {"exchange": "x", "routing_key": text}}
    yield {
        "let": {"a": text, "b": "{{ a }}", "c": ["{{ a }}"]},
        "when": "a != b",
        "message": "{{ c }}",
        "once": "{{ b }}",
    }
    yield {"message": f"m {text}", "untrusted": ["data.v"], "redact": ["card", "email", "iban", "phone"]}
    yield {"when": bare}
    yield {"when": f"({bare}) > 3 or true", "ignore": bare}
    yield {"shadow": True, "message": text, "sample": "50%"}
    yield {"chat": {"name": text, "trigger": {"type": "draft", "meta": {"v": text}}}}


def make_rules(**keys):
    written = {"name": "r", "chat": {"trigger": {"type": "draft"}}} | keys
    return compile_rules([Rule.model_validate(written).spec], {})


def make_event(value=None):
    data = {"k": "a", "v": value}
    return Event("id", "crm", "e1", "deal.changed", data=data, raw=b"{}", digest=b"", received_at=0, subject="s")


@pytest.mark.parametrize("number", range(sum(1 for _ in ruled_by("", ""))))
@settings(max_examples=25, deadline=None)
@given(bare=st.sampled_from(EXPRESSIONS), value=VALUES)
def test_no_value_raises_out_of_any_key(number, bare, value):
    rules, happened = make_rules(**list(ruled_by(f"{{{{ {bare} }}}}", bare))[number]), make_event(value)
    matched = rules.match(happened)
    [explained] = rules.explain(happened)
    assert not (explained.matched and matched.skips)
    json.dumps([explained.conditions, explained.keys], ensure_ascii=False).encode()
    rules.render_all("r", [happened, happened])


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        ({"newest": {"key": KEYED, "by": "{{ data.v }}"}}, 10**400, "newest.by: it is too large a number: it has"),
        ({"newest": {"key": KEYED, "by": "{{ data.v }}"}}, "9" * 400, "newest.by: it is too large a number: it has"),
        ({"newest": {"key": KEYED, "by": "{{ data.v }}"}}, float("inf"), "newest.by: it is too large a number: it has"),
        ({"once": "{{ data.v * 100 }}"}, LONGEST, "once.key: it is too large a number for a key"),
        ({"once": "{{ data.v }}"}, float("inf"), "once.key: it is too large a number for a key"),
        ({"order": "{{ data.v * 100 }}"}, LONGEST, "order.key: it is too large a number for a key"),
        ({"limit": [{"rate": "1/s", "key": "{{ -10 * data.v }}"}]}, LONGEST, "limit[0].key: it is too large a number"),
        ({"changed": {"key": KEYED, "of": ["{{ [data.gone] }}"]}}, 1, "changed.of: data.gone is missing"),
        (
            {"result": {"exchange": "x", "routing_key": "{{ data.v * 100 }}"}},
            LONGEST,
            "result.routing_key: it is too large a number for a routing key",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_no_key_can_be_fails_the_dispatch_and_says_where(keys, value, told):
    [rendered] = make_rules(**keys).match(make_event(value)).rendered
    assert rendered.failure.code == "render"
    assert rendered.failure.message.startswith(f"rule r: {told}")


def test_half_of_a_surrogate_pair_is_a_value_that_may_change():
    rules = make_rules(changed={"key": KEYED, "of": ["{{ data.v | from_json }}"]})
    plans = [rules.match(make_event(text)).rendered[0].plan["changed"] for text in ('"\\ud800"', '"\\ud801"')]
    assert plans[0]["hash"] != plans[1]["hash"]


def test_a_number_of_an_event_that_cancels_may_be_too_large():
    unless = {"key": "{{ data.v * 100 }}"}
    rules, told = make_rules(delay={"for": "1m", "key": KEYED, "unless": unless}), []
    assert rules.match(make_event(LONGEST), lambda *why: told.append(why[1:])).cancels == ()
    assert told == [("r", "in delay.unless: delay.unless.key: it is too large a number for a key")]


@pytest.mark.parametrize(
    ("key", "step", "keys"),
    [
        (Once, "plan", {"once": KEYED}),
        (ResultKey, "mark", {"result": {"exchange": "x"}}),
        (Redact, "cover", {"redact": "email"}),
        (Ignore, "skip", {"ignore": "data.v"}),
        (Shadow, "withhold", {"shadow": True}),
    ],
)
def test_what_nobody_foresaw_in_a_key_fails_the_dispatch_with_its_type(monkeypatch, key, step, keys):
    def fail(*_):
        raise RuntimeError("it broke")

    monkeypatch.setattr(key, step, fail)
    assert key in KEYS
    rules = make_rules(**keys)
    for rendered in (rules.match(make_event()).rendered[0], rules.explain(make_event())[0].rendered):
        assert (rendered.body, rendered.failure.message) == (None, "rule r: RuntimeError: it broke")


def test_what_nobody_foresaw_in_an_explanation_is_shown_with_its_type(monkeypatch):
    def fail(*_):
        raise RuntimeError("it broke")

    monkeypatch.setattr(Once, "show", fail)
    assert make_rules(once=KEYED).explain(make_event())[0].keys["once"] == {"error": "RuntimeError: it broke"}
