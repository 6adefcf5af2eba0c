"""Labels of a rule and the place of its results, as they are rendered."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.model import Event, Labels, Outlet, cut_label
from relay.model.labels import LONGEST
from relay.rules import RuleSpec, check_rule, compile_rules
from relay.rules.keys.result import ResultBlock

CHAT = {"name": "Deal {{ data.id }}", "trigger": {"type": "draft"}}
RESULT = ResultBlock(exchange="crm.results", routing_key="deal.{{ data.id }}")
LONE = ResultBlock(exchange="crm.results", routing_key="{{ data.id }}")


def event(data):
    return Event(
        id="e1", source="crm", external_id="x1", type="t", data=data, raw=b"", digest=b"", received_at=1_700_000_000_123
    )


def render(data, chat=CHAT, **keys):
    [rendered] = compile_rules([RuleSpec("r", chat=chat, keys=keys)], {"team": "sales"}).match(event(data)).rendered
    return rendered


def label(value, **data):
    """The label of this value, or why it is left out."""
    labels = render({"id": 1} | data, labels={"a": value}).labels
    return labels.values.get("a") or labels.left_out["a"]


def explained(data, **keys):
    [explanation] = compile_rules([RuleSpec("r", chat=CHAT, keys=keys)], {}).explain(event(data))
    return explanation


def test_labels_are_texts_of_templates_constants_and_names_of_let():
    written = {"company": "{{ who }}", "team": "{{ vars.team }}", "kind": "deal", "id": "{{ data.id }}", "vip": True}
    rendered = render({"id": 7, "company": "Acme"}, let={"who": "{{ data.company }}"}, labels=written)
    values = {"company": "Acme", "team": "sales", "kind": "deal", "id": "7", "vip": "true"}
    assert rendered.labels == Labels(values, {})


@pytest.mark.parametrize(
    ("value", "data", "told"),
    [
        ("{{ data.gone }}", {}, "labels.a: data.gone is missing"),
        ("{{ data.x }}", {"x": None}, "labels.a: it is null; a label is text: write | default(...), or | tojson"),
        ("{{ data.x }}", {"x": ["y"]}, "labels.a: it is a list; a label is text: write | default(...), or | tojson"),
        ("{{ data.x }}", {"x": " \n"}, "labels.a: it is blank; a label is text: write | default(..., true)"),
        ("{{ data.x }}", {"x": "a\0b"}, "labels.a: it holds a NUL character; take it out with | replace"),
        ("{{ data.x }}", {"x": "\ud800"}, "labels.a: it holds half of a surrogate pair, which is not a character"),
        ("{{ 1 / data.x }}", {"x": 0}, "labels.a: division by zero"),
    ],
)
def test_what_cannot_be_rendered_is_left_out_with_its_reason_and_the_dispatch_goes_on(value, data, told):
    rendered = render({"id": 1} | data, labels={"a": value, "b": "there"})
    assert rendered.failure is None
    assert rendered.labels == Labels({"b": "there"}, {"a": told})


@given(st.text() | st.text(alphabet=" \n\u200b\u0301é👩‍👩‍👧\x1b\u202eA", min_size=150, max_size=450))
@example("x" * LONGEST + "\0")
@example("x" * 199 + " y")
@example(" " * 300 + "x")
def test_a_value_is_cut_the_same_whether_it_is_stored_or_searched(text):
    cut = cut_label(text)
    assert cut == cut_label(cut)
    assert len(cut) <= LONGEST
    assert text.strip().startswith(cut)
    if cut and "\0" not in cut:
        assert label("{{ data.x }}", x=text) == cut


def test_labels_and_outlet_are_there_where_the_chat_fails_so_that_its_result_has_them():
    rendered = render(
        {"company": "Acme", "id": 5}, {**CHAT, "name": "{{ data.gone }}"}, labels={"a": "b"}, result=RESULT
    )
    assert rendered.failure.message == "rule r: chat.name: data.gone is missing"
    assert (rendered.labels, rendered.outlet) == (Labels({"a": "b"}, {}), Outlet("crm.results", "deal.5"))


def test_a_key_of_the_ledger_that_fails_leaves_them_too():
    from relay.rules.keys.once import OnceBlock

    rendered = render({"id": 5}, once=OnceBlock(key="{{ data.gone }}"), labels={"a": "b"}, result=RESULT)
    assert rendered.failure.message == "rule r: once.key: data.gone is missing"
    assert (rendered.labels, rendered.outlet) == (Labels({"a": "b"}, {}), Outlet("crm.results", "deal.5"))


def test_without_a_routing_key_the_usual_one_counts():
    assert render({"id": 5}, result=ResultBlock(exchange="crm.results")).outlet == Outlet("crm.results")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "it is null; a routing key is text: write | default(...), or | tojson"),
        (" ", "it is blank; a routing key never is: write | default(..., true)"),
        ("ä" * 128, "it has 256 bytes; a routing key has at most 255: write | truncate(63)"),
    ],
)
def test_a_routing_key_that_cannot_be_rendered_fails_the_dispatch_which_is_told_on_that_exchange(value, told):
    chat = {"trigger": {"type": "draft"}}
    rendered = render({"id": value}, chat, result=LONE, labels={"a": "b"})
    assert (rendered.failure.code, rendered.failure.message) == ("render", f"rule r: result.routing_key: {told}")
    assert (rendered.body, rendered.outlet) == (None, Outlet("crm.results"))
    assert rendered.labels == Labels({"a": "b"}, {})


def test_the_explanation_has_both():
    found = explained({"id": 5}, labels={"a": "{{ data.id }}", "b": "{{ data.gone }}"}, result=RESULT)
    assert found.keys["labels"] == {"a": "5", "b": {"leftOut": "labels.b: data.gone is missing"}}
    assert found.keys["result"] == {"exchange": "crm.results", "routingKey": "deal.5"}
    assert found.rendered.outlet == Outlet("crm.results", "deal.5")


def test_the_explanation_of_a_routing_key_that_fails_says_so():
    found = explained({"id": " "}, result=LONE)
    assert "it is blank" in found.keys["result"]["error"]
    assert found.rendered.failure.message.startswith("rule r: result.routing_key: it is blank")


def test_a_rule_without_them_has_none():
    rendered = render({"id": 5})
    assert (rendered.labels, rendered.outlet) == (None, None)
    assert json.loads(rendered.body)["name"] == "Deal 5"


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"labels": {f"l{n}": "x" for n in range(11)}}, ("labels",), "has 11 labels, and a rule has at most 10"),
        ({"labels": {"Customer": "x"}}, ("labels", "Customer"), "'Customer' is not a name"),
        ({"labels": {"a": ["x"]}}, ("labels", "a"), "it is a list; a label is text"),
        ({"labels": {"a": None}}, ("labels", "a"), "it is null; a label is text"),
        ({"labels": {"a": " "}}, ("labels", "a"), "it is blank"),
        ({"labels": {"a": "{{ data.x | nope }}"}}, ("labels", "a"), 'there is no filter "nope"'),
        ({"labels": {"a": "x" * 201}}, ("labels", "a"), "is longer than 200 characters, and is cut there"),
        ({"result": ResultBlock(exchange="amq.mine")}, ("result", "exchange"), "begins with amq., which RabbitMQ"),
        ({"result": ResultBlock(exchange="{{ data.x }}")}, ("result", "exchange"), "is a name and no template"),
        ({"result": ResultBlock(exchange="ä" * 128)}, ("result", "exchange"), "has 256 bytes, and AMQP allows 255"),
        ({"result": ResultBlock(exchange="x", routing_key="y" * 256)}, ("result", "routing_key"), "it has 256 bytes"),
        ({"result": ResultBlock(exchange="x", routing_key="{{ nope }}")}, ("result", "routing_key"), "nope"),
    ],
)
def test_what_is_refused_at_load(keys, path, told):
    [fault] = check_rule(RuleSpec("r", chat=CHAT, keys=keys), {})
    assert (fault.path, fault.warn) == (path, "is cut there" in told)
    assert told in fault.message


def test_what_is_right_is_not_refused():
    keys = {"labels": {f"l{n}": "{{ data.x }}" for n in range(10)}, "result": ResultBlock(exchange="amq.topic")}
    assert check_rule(RuleSpec("r", chat=CHAT, keys=keys), {}) == []
