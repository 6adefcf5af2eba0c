"""What is found at load, with its place and line."""

import math
from copy import deepcopy

import pytest

from relay.rules import RuleSpec, check_rule, compile_rules
from relay.rules.check import Known, inspect_template

AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CONNECTOR = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"
CHAT = {
    "agentUuid": AGENT,
    "name": "Ticket #{{ data.detail.id }}: {{ data.detail.subject }}",
    "trigger": {
        "type": "connector",
        "connectorUuid": CONNECTOR,
        "meta": {"ticketId": "{{ data.detail.id }}", "tags": "{{ data.detail.tags }}"},
    },
}


def rule(*path, value, **changes):
    """The rule of the design with one value inside its chat changed."""
    chat = deepcopy(CHAT)
    inner = chat
    for step in path[:-1]:
        inner = inner[step]
    if path:
        inner[path[-1]] = value
    return RuleSpec(name="urgent-ticket", chat=chat if path else value, **changes)


def only(faults):
    assert len(faults) == 1, faults
    return faults[0]


def test_the_rule_of_the_design_is_without_fault():
    spec = RuleSpec(
        name="urgent-ticket",
        sources=("helpdesk",),
        types=("zen:event-type:ticket.*",),
        when='data.detail.priority | lower in ["high", "urgent"]',
        chat=CHAT,
        message="A customer writes: {{ data.detail.description }}",
    )
    assert check_rule(spec, {}) == []


@pytest.mark.parametrize(
    ("path", "value", "place", "said"),
    [
        ((), {}, (), "it has no trigger"),
        ((), "text", (), "it is text; write the body"),
        ((), {"trigger": {}}, ("trigger", "type"), "it has no type; known are app, chat, connector"),
        (("trigger",), "connector", ("trigger",), "it is text; write {type: connector"),
        (("trigger",), [], ("trigger",), "it is a list"),
        (("trigger", "type"), "conector", ("trigger", "type"), 'did you mean "connector"?'),
        (("trigger", "type"), 5, ("trigger", "type"), "there is no trigger type 5"),
        (("trigger", "type"), "workflow", ("trigger",), "a workflow trigger needs nodeUuid"),
        (("trigger", "connectorUuid"), "7b0e0a34", ("trigger", "connectorUuid"), "it is not a uuid"),
        (("trigger", "connectorUuid"), None, ("trigger", "connectorUuid"), "it is null"),
        (("trigger", "connectorUUID"), CONNECTOR, ("trigger", "connectorUUID"), 'did you mean "connectorUuid"?'),
        (("trigger", "meta"), "x", ("trigger", "meta"), "it must be an object"),
        (("trigger", "meta", "relay"), "x", ("trigger", "meta", "relay"), "Relay writes this key itself"),
        (("agentUuid",), "agent", ("agentUuid",), "it is not a uuid; a uuid looks like"),
        (("agentUuid",), 4711, ("agentUuid",), "it is a number"),
        (("agentUuid",), None, ("agentUuid",), "it is null"),
        (("releaseUuid",), "", ("releaseUuid",), "it is not a uuid"),
        (("agent_uuid",), AGENT, ("agent_uuid",), 'did you mean "agentUuid"?'),
        (("colour",), "red", ("colour",), "known are agentUuid, name, releaseUuid, trigger"),
        (("name",), 5, ("name",), "it is a number; a chat's name is text"),
        (("trigger", "meta", "n"), math.nan, ("trigger", "meta", "n"), "not a number that JSON has"),
        (("trigger", "meta", "n"), "a\x00", ("trigger", "meta", "n"), "NUL"),
        (("trigger", "meta", "n"), "\ud800", ("trigger", "meta", "n"), "surrogate"),
        (("trigger", "meta", "n"), b"x", ("trigger", "meta", "n"), "which JSON does not have; quote it"),
        (("trigger", "meta", 5), "x", ("trigger", "meta"), "its key 5 is a number; quote it"),
        (("trigger", "meta", "{{ data.x }}"), "x", ("trigger", "meta", "{{ data.x }}"), "keys are no templates"),
    ],
)
def test_a_wrong_constant_is_found_with_its_place(path, value, place, said):
    faults = check_rule(rule(*path, value=value), {})
    assert ("chat", *place) in {fault.path for fault in faults}
    assert any(said in fault.message for fault in faults)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("trigger",), "{{ data.trigger }}"),
        (("trigger", "type"), "{{ data.kind }}"),
        (("trigger", "meta"), "{{ data }}"),
        (("trigger", "connectorUuid"), "{{ vars.connector }}"),
        (("agentUuid",), AGENT.upper()),
        (("name",), "{{ data.name }}"),
        (("trigger", "whatever"), "the API may grow"),
        (("trigger",), {"type": "workflow", "uuid": AGENT, "nodeUuid": AGENT, "runUuid": None}),
        (("trigger",), {"type": "chat", "uuid": AGENT, "agentUuid": None}),
        (("trigger",), {"type": "web_extension", "url": "https://example.com"}),
        (("trigger",), {"type": "draft"}),
    ],
)
def test_what_is_right_or_known_only_later_is_no_fault(path, value):
    assert check_rule(rule(*path, value=value), {"connector": CONNECTOR}) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("{{ data. }}", 1, "expected name or number"),
        ("one\ntwo {{ data.x", 2, "unexpected end of template"),
        ("{% if data.x %}\n\n", 1, "Unexpected end of template"),
        ("{% fi %}", 1, "unknown tag 'fi'"),
        ("a\n\n{{ data.x | lowr }}", 3, 'there is no filter "lowr"; did you mean "lower"?'),
        ("a\n{{ data.x is strin }}", 2, 'there is no test "strin"; did you mean "string"?'),
        ("{{ dta.x }}", 1, 'there is no "dta"; did you mean "data"?'),
        ("{{ ticket.id }}", 1, 'there is no "ticket"; in scope are data, event, headers, vars'),
        ("{{ event.tpye }}", 1, 'the event has no "tpye"; did you mean "type"?'),
        ("{{ event['body'] }}", 1, 'the event has no "body"; it has external_id, id,'),
        ("{{ vars.agent }}", 1, 'there is no "agent" under vars; did you mean "agents"?'),
        ("{{ vars['other'] }}", 1, 'there is no "other" under vars; add it there'),
        ("{{ data.x.lower() }}", 1, "data.x.lower() is a method; there are none, only filters: write | lower"),
        ("{{ data.x.splitlines() }}", 1, "data.x.splitlines() is a method; there are none, only filters"),
        ("{{ data.x | regex_search('(') }}", 1, "regex_search: the pattern is wrong"),
        ("{% for x in data %}{% endfor %}{{ loop.index }}{{ y }}", 1, 'there is no "y"'),
        ("{% set loop = 1 %}{% for x in data %}{% set loop = 2 %}{% endfor %}", 1, "loop"),
        ("{% set data.x = 1 %}", 1, "a template sets names"),
        ("{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}", 1, "it nests too deeply"),
        ("\n{{ " + "[" * 60 + "1" + "]" * 60 + " }}", 2, "it nests too deeply"),
        ("\n{{ " + "data.a[" * 60 + "1" + "]" * 60 + " }}", 2, "it nests too deeply"),
        ("\n{{ " + "not " * 5_000 + "data.a }}", 2, "it nests too deeply"),
        ("\n{{ " + "- " * 500 + "data.a }}", 2, "it nests too deeply"),
        ("\n{{ " + "1 if data.a else " * 500 + "2 }}", 2, "it nests too deeply"),
        ("\n{{ " + " or ".join(["data.a"] * 500) + " }}", 2, "it nests too deeply"),
        ("\n{{ data.a" + "|string" * 500 + " }}", 2, "it nests too deeply"),
        ("\n{{ data" + ".a" * 500 + " }}", 2, "it nests too deeply"),
        ("{% for x in data %}\n" * 17 + "{% endfor %}" * 17, 17, "it nests too deeply: at most 16 blocks"),
        ("{% if data.a %}" + "\n{% elif data.b %}" * 3_000 + "{% endif %}", 102, "at most 100 elif"),
    ],
)
def test_a_template_s_fault_is_found_with_its_line(text, line, said):
    fault = only(check_rule(rule("trigger", "meta", "tags", value=text), {"agents": "4711"}))
    assert fault.path == ("chat", "trigger", "meta", "tags")
    assert fault.line == line
    assert said in fault.message


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "(" * 25 + "1" + ")" * 25 + " }}",
        "{{ " + " or ".join(["data.a"] * 140) + " }}",
        "{{ " + "1 if data.a else " * 140 + "2 }}",
        "{{ data.a" + "|string" * 140 + " }}",
        "{{ " + " ~ ".join(["data.a"] * 2_000) + " }}",
        "{% for x in data %}" * 16 + "{{ x }}" + "{% endfor %}" * 16,
        "{% if data.a %}" + "{% elif data.b %}x" * 100 + "{% endif %}",
    ],
)
def test_what_is_let_through_compiles_wherever_it_is_called(text):
    def call(deeper):
        return call(deeper - 1) if deeper else check_rule(rule("trigger", "meta", "tags", value=text), {})

    assert call(200) == []


def test_a_chat_that_nests_too_deeply_is_a_fault():
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert "it nests too deeply" in only(check_rule(rule("trigger", "meta", "x", value=deep), {})).message


def test_all_faults_are_told_at_once():
    spec = rule("agentUuid", value="x", when="dta.x", message="{{ nope }}\n{{ data.x | lowr }}")
    assert [(fault.path, fault.line) for fault in check_rule(spec, {})] == [
        (("chat", "agentUuid"), 1),
        (("when",), 1),
        (("message",), 1),
        (("message",), 2),
    ]


@pytest.mark.parametrize(
    ("when", "line", "said"),
    [
        ("", 1, "it is empty"),
        (" \n", 1, "it is empty"),
        ("{{ data.x }}", 1, "it is a bare expression: write it without {{ }}"),
        ('data.x = "a"', 1, "to compare, write =="),
        ("data.x and\n", 1, "unexpected"),
        ("data.x\n  data.y", 2, "data"),
        ("data.x\nand dta.y", 2, 'there is no "dta"'),
        ("data.x | lowr", 1, 'there is no filter "lowr"'),
        ("data.x is strin", 1, 'there is no test "strin"'),
        ("vars.x", 1, "under vars"),
        ("event.kind", 1, "the event has no"),
        ("data.x.startswith('a')", 1, "is a method"),
    ],
)
def test_a_condition_s_fault_is_found_with_its_line(when, line, said):
    fault = only(check_rule(rule("name", value="x", when=when), {}))
    assert (fault.path, fault.line) == (("when",), line)
    assert said in fault.message


def test_an_empty_message_is_a_fault():
    assert only(check_rule(rule("name", value="x", message=" "), {})).path == ("message",)


def test_compile_refuses_what_the_check_finds():
    with pytest.raises(ValueError, match=r"rule urgent-ticket: chat.trigger.meta.tags: line 1: .*did you mean"):
        compile_rules([rule("trigger", "meta", "tags", value="{{ dta.x }}")], {})


def test_a_template_is_told_the_line_of_a_name_that_is_not_in_scope():
    known = Known(frozenset({"data", "headers"}))
    assert inspect_template("order.{{ data.order.status }} {{ headers['x-topic'] }}", known) == []
    assert only(inspect_template("a\n{{ event.id }}", known)) == (2, 'there is no "event"; in scope are data, headers')


@pytest.mark.parametrize("agent", [None, "", "an agent", 7])
@pytest.mark.parametrize(
    ("path", "template"),
    [(("agentUuid",), "{{ vars.agent }}"), (("trigger", "connectorUuid"), " {{- vars.agent -}} ")],
)
def test_what_vars_give_where_cargo_wants_a_uuid_is_looked_at(path, template, agent):
    """An environment variable that is empty makes a rule whose every chat fails."""
    spec = rule(*path, value=template)
    fault = only(check_rule(spec, {"agent": agent}))
    assert (fault.path, fault.warn) == (("chat", *path), True)
    assert "until it is right, the rule makes no chat" in fault.message
    assert check_rule(spec, {"agent": AGENT}) == []
    assert compile_rules([spec], {"agent": agent}), "a warning refuses nothing"
