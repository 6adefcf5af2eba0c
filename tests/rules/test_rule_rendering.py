"""From an event to the body of a chat, or to a failure that says where and why."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Event
from relay.rules import RuleSpec, compile_rules

AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CONNECTOR = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)
    | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["detail", "id", "tags", "items"]) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
KEEPABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


def event(data, **changes):
    fields = {"source": "helpdesk", "external_id": "x1", "type": "ticket.created", "received_at": 1_700_000_000_123}
    return Event(id="e1", data=data, raw=b"", digest=b"", **(fields | changes))


def render(chat, data, *, message=None, constants=None, **changes):
    rules = compile_rules([RuleSpec(name="r", chat=chat, message=message, on_unknown="retry")], constants or {})
    [rendered] = rules.match(event(data, **changes)).rendered
    return rendered


def connector(**meta):
    return {"trigger": {"type": "connector", "connectorUuid": CONNECTOR, "meta": meta}}


def test_the_rule_of_the_design_gives_its_chat():
    chat = connector(ticketId="{{ data.detail.id }}", tags="{{ data.detail.tags }}") | {
        "agentUuid": AGENT,
        "name": "Ticket #{{ data.detail.id }}: {{ data.detail.subject }}",
    }
    data = {"detail": {"id": 42, "subject": "Größe 😀", "tags": ["a", {"b": None}], "description": "Help"}}
    rendered = render(chat, data, message="A customer writes: {{ data.detail.description }}")
    assert json.loads(rendered.body) == {
        "agentUuid": AGENT,
        "name": "Ticket #42: Größe 😀",
        "trigger": {
            "type": "connector",
            "connectorUuid": CONNECTOR,
            "meta": {"ticketId": 42, "tags": ["a", {"b": None}]},
        },
    }
    assert "Größe 😀" in rendered.body
    assert ": " not in rendered.body.replace("#42: ", "")
    assert rendered.message == "A customer writes: Help"
    assert (rendered.rule, rendered.trigger_type, rendered.name, rendered.agent_uuid, rendered.on_unknown) == (
        "r",
        "connector",
        "Ticket #42: Größe 😀",
        AGENT,
        "retry",
    )
    assert rendered.failure is None


def test_constants_stay_as_they_are():
    meta = {
        "n": 1,
        "f": 1.5,
        "t": True,
        "none": None,
        "list": [1, "two", {"three": "{{ data.x }}"}],
        "braces": "{x} }}",
        "100 %": "%s %d %% %(a)s",
        "%s": ["%", "{{ data.x }} %s"],
    }
    rendered = render(connector(**meta), {"x": 3})
    meta["list"][2]["three"] = 3
    meta["%s"][1] = "3 %s"
    assert json.loads(rendered.body)["trigger"]["meta"] == meta


def test_event_headers_and_vars_are_in_scope():
    chat = connector(
        event="{{ event }}", topic="{{ headers['x-topic'] }}", user="{{ vars.agent_user }}", type="{{ event.type }}"
    )
    rendered = render(chat, {}, constants={"agent_user": "4711"}, headers={"x-topic": "t"}, time=1_700_000_000_000)
    assert json.loads(rendered.body)["trigger"]["meta"] == {
        "event": {
            "id": "e1",
            "external_id": "x1",
            "source": "helpdesk",
            "type": "ticket.created",
            "subject": None,
            "time": "2023-11-14T22:13:20.000Z",
            "received_at": "2023-11-14T22:13:20.123Z",
        },
        "topic": "t",
        "user": "4711",
        "type": "ticket.created",
    }


@given(ANYTHING)
def test_any_body_gives_a_chat_that_can_be_kept_or_a_failure(data):
    """Never an exception; and what is given is JSON that UTF-8 and a text column hold."""
    chat = connector(all="{{ data }}", tags="{{ data.detail.tags | default([]) }}") | {"name": "#{{ data.id }}"}
    rendered = render(chat, data, message="{{ data.detail | default('') }}")
    if rendered.body is None:
        assert rendered.failure.code == "render"
        assert rendered.failure.message.startswith(("rule r: chat.", "rule r: message: "))
    else:
        assert rendered.failure is None
        kept = json.loads(rendered.body.encode(), parse_constant=pytest.fail)
        assert kept["trigger"]["meta"]["all"] == data
        assert "\x00" not in rendered.body
        assert "\\u0000" not in rendered.body.replace("\\\\", "")
        assert rendered.message is None or rendered.message.strip()


@given(KEEPABLE)
def test_a_body_is_the_same_text_whether_its_shape_is_known_or_hangs_on_a_template(value):
    data = {"value": value, "agent": AGENT, "id": 7}
    shape = connector(all="{{ data.value }}", rest=["%", {"%": "{{ data.value }}"}], text="#{{ data.id }} %s")
    chat = {"name": "Deal {{ data.id }}", "agentUuid": AGENT, **shape}
    wanted = {
        "name": "Deal 7",
        "agentUuid": AGENT,
        **connector(all=value, rest=["%", {"%": value}], text="#7 %s"),
    }
    text = json.dumps(wanted, ensure_ascii=False, separators=(",", ":"))
    for agent in (AGENT, "{{ data.agent }}"):
        rendered = render(chat | {"agentUuid": agent}, data)
        assert rendered.body == text
        assert (rendered.trigger_type, rendered.name, rendered.agent_uuid) == ("connector", "Deal 7", AGENT)


@pytest.mark.parametrize(
    ("text", "data", "said"),
    [
        ("{{ data.detail.priority }}", {"detail": {}}, ".tags[1]: data.detail.priority is missing"),
        (
            "{{ data.x + 1 }}",
            {"x": "a"},
            ".tags[1]: + takes two numbers, two texts or two lists, here are text and a number; ~ joins",
        ),
        ("{{ 1 / data.x }}", {"x": 0}, ".tags[1]: division by zero"),
        ("{{ data.x }}", {"x": float("nan")}, ".tags[1]: Out of range float values are not JSON compliant"),
        ("{{ data.x | float }}", {"x": "1e999"}, ".tags[1]: Out of range float values are not JSON compliant"),
        ("{{ data.x }}", {"x": "a\x00b"}, ".tags[1]: it holds a NUL character"),
        ("{{ data.x }}", {"x": {"k": ["\ud83d"]}}, ".tags[1].k[0]: it holds half of a surrogate pair"),
        ("{{ data.x }}", {"x": {"\x00": 1}}, ".tags[1]: it holds a NUL character"),
        ("{{ range }}", {}, ".tags[1]: a function is not a JSON value"),
        ("{{ [1] | map(attribute='x') }}", {}, ".tags[1][0]: (item).x is missing"),
        ("{{ data[data.k] }}", {"k": "\ud83d\x00" * 999}, '.tags[1]: data["\\ud83d\\x00'),
        ("{{ 10 ** 1000 * 10 ** 1000 * 10 ** 1000 * 10 ** 1000 * 10 ** 1000 }}", {}, ".tags[1]: Exceeds the limit"),
    ],
)
def test_a_failure_names_the_rule_the_place_and_the_cause(text, data, said):
    rendered = render(connector(fine="x", tags=["y", text]), data)
    assert rendered.body is None
    assert rendered.trigger_type == "connector"
    assert rendered.failure.code == "render"
    assert rendered.failure.message.startswith(f"rule r: chat.trigger.meta{said}")


def test_a_body_of_more_than_a_mebibyte_fails():
    rendered = render(connector(x="{{ data }}"), "ä" * (1 << 19))
    assert rendered.failure.message.startswith("rule r: chat: it would be 10")
    assert render(connector(x="{{ data }}"), "ä" * (1 << 18)).failure is None


def test_a_backslash_before_u0000_is_no_nul():
    assert json.loads(render(connector(x="{{ data }}"), "\\u0000").body)["trigger"]["meta"]["x"] == "\\u0000"


def test_a_number_of_400_digits_comes_through():
    assert json.loads(render(connector(x="{{ data }}"), 10**400).body)["trigger"]["meta"]["x"] == 10**400


def test_what_nests_too_deeply_fails_only_its_dispatch():
    deep = []
    for _ in range(5_000):
        deep = [deep]
    for chat in (
        connector(x="{{ data }}"),
        connector(x="{{ [data, 1] }}"),
        connector(x="{{ [data] | map('list') }}"),
        connector(x="{{ [data] | select }}"),
        connector(x="a {{ data }}"),
        connector(x="{{ data | tojson }}"),
        {"trigger": {"type": "connector", "connectorUuid": CONNECTOR, "meta": "{{ {'x': data} }}"}},
    ):
        rendered = render(chat, deep)
        assert rendered.body is None
        assert "it nests too deeply" in rendered.failure.message
        loose = isinstance(chat["trigger"]["meta"], str)
        assert rendered.failure.message.startswith(f"rule r: chat{'' if loose else '.trigger.meta.x'}: ")


def test_json_inside_of_a_text_nests_no_deeper_than_a_body():
    chat = connector(x="{{ data | from_json }}")
    assert json.loads(render(chat, "[" * 200 + "]" * 200).body)
    assert "it nests too deeply" in render(chat, "[" * 5_000 + "]" * 5_000).failure.message


def test_what_calls_itself_for_ever_fails_only_its_dispatch():
    macro = "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}"
    assert "it nests too deeply" in render(connector(x=macro), {}).failure.message
    tree = []
    for _ in range(150):
        tree = [{"sub": tree}]
    loop = "{% for n in data recursive %}{{ loop(n.sub) }}{% endfor %}"
    assert "it nests too deeply" in render(connector(x=loop), tree).failure.message
    assert render(connector(x=loop), tree[0]["sub"][0]["sub"][0:0]).failure is None


@pytest.mark.parametrize(
    ("chat", "data", "said"),
    [
        ({"trigger": "{{ data }}"}, "x", "chat.trigger: it is text"),
        ({"trigger": "{{ data }}"}, {"type": "conector"}, "chat.trigger.type: there is no trigger type"),
        ({"trigger": "{{ data }}"}, {"type": "connector"}, "chat.trigger: a connector trigger needs connectorUuid"),
        ({"trigger": {"type": "{{ data }}"}}, None, "chat.trigger.type: it has no type"),
        (
            {"trigger": {"type": "connector", "connectorUuid": "{{ data }}"}},
            "x",
            "chat.trigger.connectorUuid: it is not a uuid",
        ),
        ({"trigger": {"type": "draft", "meta": "{{ data }}"}}, [], "chat.trigger.meta: it is a list"),
        (
            {"trigger": {"type": "draft", "meta": "{{ data }}"}},
            {"relay": 1},
            "chat.trigger.meta.relay: Relay writes this key itself",
        ),
        ({"trigger": {"type": "draft"}, "agentUuid": "{{ data }}"}, 5, "chat.agentUuid: it is a number"),
        (
            {"trigger": {"type": "draft"}, "name": "{{ data }}"},
            5,
            "chat.name: it is a number; a chat's name is text; add",
        ),
        ({"trigger": {"type": "draft"}, "name": "{{ data }}"}, None, "chat.name: it is null"),
    ],
)
def test_a_rendered_value_that_cargo_would_refuse_fails(chat, data, said):
    rendered = render(chat, data)
    assert rendered.body is None
    assert rendered.failure.message.startswith(f"rule r: {said}")


def test_a_rendered_trigger_is_passed_on_with_what_the_api_may_have_grown():
    trigger = {"type": "connector", "connectorUuid": CONNECTOR, "meta": {}, "urgency": 5}
    rendered = render({"trigger": "{{ data }}"}, trigger)
    assert json.loads(rendered.body) == {"trigger": trigger}
    assert rendered.trigger_type == "connector"


@pytest.mark.parametrize("said", ["", " \n", None])
def test_a_blank_message_is_none(said):
    rendered = render({"trigger": {"type": "draft"}}, said, message="{{ data }}")
    assert rendered.failure is None
    assert rendered.message is None


def test_a_message_that_is_no_text_is_said_as_json():
    assert render({"trigger": {"type": "draft"}}, {"a": [1]}, message="{{ data }}").message == '{"a":[1]}'


@pytest.mark.parametrize(
    ("data", "said"), [({}, "data.x is missing"), ({"x": "\x00"}, "NUL"), ({"x": "\udfff"}, "surrogate")]
)
def test_a_message_that_fails_fails_the_dispatch(data, said):
    rendered = render({"trigger": {"type": "draft"}}, data, message="Says: {{ data.x }}")
    assert rendered.body is None
    assert rendered.failure.message.startswith("rule r: message: ")
    assert said in rendered.failure.message


def test_a_rule_that_fails_fails_no_other():
    rules = compile_rules(
        [
            RuleSpec(name="bad", chat=connector(x="{{ data.nowhere }}")),
            RuleSpec(name="good", chat=connector(x="{{ data.x }}")),
        ],
        {},
    )
    bad, good = rules.match(event({"x": 1})).rendered
    assert (bad.rule, bad.body, bad.failure.message) == (
        "bad",
        None,
        "rule bad: chat.trigger.meta.x: data.nowhere is missing",
    )
    assert json.loads(good.body)["trigger"]["meta"] == {"x": 1}


def test_one_template_leaves_nothing_behind_for_the_next():
    chat = connector(
        a="{% set v = 1 %}{{ v }}.", b="{% if data.no %}{% set v = 2 %}{% endif %}{{ v | default('none') }}"
    )
    rendered = render(chat, {"no": False})
    assert json.loads(rendered.body)["trigger"]["meta"] == {"a": "1.", "b": "none"}
