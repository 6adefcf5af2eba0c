"""Templates on their own: kinds, strictness, item-first access, the sandbox, filters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Permanent
from relay.rules import Template
from relay.rules.check import Known, inspect_template

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def render(text, data=None, **scope):
    return Template(text).render({"data": data, **scope})


@given(JSON)
def test_a_lone_expression_keeps_its_value(value):
    """Number, list, object, null and text come out as they came in."""
    assert render("{{ data.x }}", {"x": value}) == value
    assert type(render("{{ data.x }}", {"x": value})) is type(value)


@pytest.mark.parametrize("text", ["{{data.x}}", " {{ data.x }}\n", "{{- data.x -}}", "{{ data['x'] }}"])
def test_white_space_and_trim_marks_do_not_make_it_a_text(text):
    assert render(text, {"x": 7}) == 7


@pytest.mark.parametrize("text", ["None", "['a']", "{{ x }}", "1", "{% raw %}", "__import__('os')"])
def test_what_a_stranger_wrote_is_never_read_as_code_or_as_a_template(text):
    assert render("{{ data.x }}", {"x": text}) == text
    assert render("-{{ data.x }}-", {"x": text}) == f"-{text}-"


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, ""), (True, "true"), (1.5, "1.5"), (["a", 1], '["a",1]'), ({"k": None}, '{"k":null}'), ("<b>", "<b>")],
)
def test_inside_a_text_a_value_stands_as_json(value, said):
    assert render("x{{ data.x }}x", {"x": value}) == f"x{said}x"


def test_a_text_keeps_its_last_line_break():
    assert render("{{ data.x }}!\n", {"x": 1}) == "1!\n"


def test_iterators_of_filters_become_lists():
    data = {"rows": [{"n": "a"}, {"n": "b"}]}
    assert render("{{ data.rows | map(attribute='n') }}", data) == ["a", "b"]
    assert render("{{ data.rows | selectattr('n', 'eq', 'b') }}", data) == [{"n": "b"}]
    assert render("{{ range(3) }}") == [0, 1, 2]
    assert render("n: {{ data.rows | map(attribute='n') }}", data) == 'n: ["a","b"]'


@pytest.mark.parametrize("key", ["items", "keys", "values", "get", "pop", "copy", "update", "__class__", "__len__"])
def test_a_dot_is_always_the_key(key):
    """Where the payload has the field it is that, where it has not it is missing; never a method of Python's."""
    assert render(f"{{{{ data.{key} }}}}", {key: "mine"}) == "mine"
    with pytest.raises(Permanent, match=f"data.{key} is missing"):
        render(f"{{{{ data.{key} }}}}", {})


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ data.__class__.__mro__ }}",
        "{{ data['__class__'] }}",
        "{{ data.x.__class__ }}",
        "{{ data.x.upper }}",
        "{{ data.list.append }}",
        "{{ data.n.real }}",
        "{{ range.__globals__ }}",
        "{{ (data | items).gi_frame }}",
        "{{ [data] | map(attribute='__class__') | list }}",
        "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
        "{% for x in [1] %}{{ loop._iterable }}{% endfor %}",
        "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
        "{{ data.x() }}",
        "{{ data() }}",
        "{{ '{0.__class__}' | format(data) ~ data.missing }}",
    ],
)
def test_there_is_no_way_to_what_is_not_data(text):
    with pytest.raises(Permanent):
        render(text, {"x": "text", "list": [], "n": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ '' | attr('__class__') }}", 'there is no filter "attr"'),
        ("{{ data | map('attr', 'x') }}", 'map: there is nothing named "attr"'),
        ("{% import 'x' as y %}", "there is no {% import %}"),
        ("{% from 'x' import y %}", "there is no {% from %}"),
        ("{% include 'x' %}", "there is no {% include %}"),
        ("{% extends 'x' %}", "there is no {% extends %}"),
        ("{% block b %}{% endblock %}", "there is no {% block %}"),
        ("{% autoescape true %}{% endautoescape %}", "there is no {% autoescape %}"),
        ("{{ self }}", 'there is no "self"'),
        ("{{ cycler('a') }}", 'there is no "cycler"'),
        ("{{ lipsum() }}", 'there is no "lipsum"'),
        ("{{ namespace() }}", 'there is no "namespace"'),
        ("{{ dict() }}", 'there is no "dict"'),
        ("{{ env.HOME }}", 'there is no "env"'),
    ],
)
def test_what_leads_out_is_refused_at_load(text, said):
    assert said in inspect_template(text, Known())[0][1]


def test_what_belongs_to_jinja_works():
    data = {"rows": [{"k": "a", "n": 1}, {"k": "b", "n": 2}, {"k": "a", "n": 3}], "tree": [{"v": 1, "sub": [{"v": 2}]}]}
    assert render("{% for r in data.rows %}{{ loop.index }}/{{ loop.length }} {% endfor %}", data) == "1/3 2/3 3/3 "
    assert render("{% for r in data.rows %}{{ loop.cycle('x', 'y') }}{% endfor %}", data) == "xyx"
    assert render("{% for g in data.rows | groupby('k') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}", data) == (
        "a2b1"
    )
    assert render("{% set t = data.rows | sum(attribute='n') %}{{ t }}.", data) == "6."
    assert render("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m('a') }}") == "<1><a>"
    tree = "{% for n in data.tree recursive %}{{ n.v }}{{ loop(n.sub) if n.sub is defined }}{% endfor %}"
    assert render(tree, data) == "12"
    assert inspect_template(tree, Known()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ data.detail.priority }}", "data.detail.priority is missing"),
        ("x {{ data.detail.priority }}", "data.detail.priority is missing"),
        ("{{ data.a.b.c }}", "data.a.b.c is missing: there is no data.a"),
        ("{{ data.s.b.c }}", "data.s.b.c is missing: data.s is text, not an object"),
        ("{{ data.none.b }}", "data.none.b is missing: data.none is null, not an object"),
        ("{{ data.list.first }}", "data.list.first is missing: data.list is a list, not an object"),
        ("{{ data.list[3] }}", "data.list[3] is missing"),
        ("{{ data.list[3].name }}", "data.list[3].name is missing: there is no data.list[3]"),
        ("{{ data['first name'] }}", 'data["first name"] is missing'),
        ("{{ data[data.key] }}", "data.nowhere is missing"),
        ("{{ data.a | lower }}", "data.a is missing"),
        ("{{ data.a + 1 }}", "data.a is missing"),
        ("{{ data.a ~ 'x' }}", "data.a is missing"),
        ("{{ data.a == 1 }}", "data.a is missing"),
        ("{{ 'x' in data.a }}", "data.a is missing"),
        ("{{ data.a > 1 }}", "data.a is missing"),
        ("{{ not data.a }}", "data.a is missing"),
        ("{{ data.a | length }}", "data.a is missing"),
        ("{{ data.a | tojson }}", "data.a is missing"),
        ("{{ data.a | split }}", "data.a is missing"),
        ("{{ data.a.upper() }}", "data.a.upper is missing"),
        ("{% if data.a %}{% endif %}", "data.a is missing"),
        ("{% for x in data.a %}{% endfor %}", "data.a is missing"),
        ("{% for x in data.rows %}{{ x.name }}{% endfor %}", "x.name is missing"),
        ("x {{ [data.a] }}", "data.a is missing"),
        ("{{ data.list | map(attribute='k') | join }}", "(item).k is missing"),
        ("{% if data.s == 'q' %}{% set v = 1 %}{% endif %}{{ v }}", "v is not set"),
        ("{{ data.empty | first }}", "No first item"),
    ],
)
def test_what_is_missing_fails_with_its_whole_path(text, said):
    data = {"detail": {}, "s": "t", "none": None, "list": [1], "key": "nowhere", "rows": [{}], "empty": []}
    with pytest.raises(Permanent) as caught:
        render(text, data)
    assert said in str(caught.value)
    assert caught.value.code == "render"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ data.a.b.c | default('x') }}", "x"),
        ("{{ data.a.b['c'][0] | default(none) }}", None),
        ("{{ data.a[1:] | default([]) }}", []),
        ("{{ data.none.b | default(1) }}", 1),
        ("{{ data.none | default(1) }}", None),
        ("{{ data.none | default(1, true) }}", 1),
        ("{{ data.a.b is defined }}", False),
        ("{{ data.a if data.a is defined else 'no' }}", "no"),
        ("{{ data.s | regex_search('z+') | default('none') }}", "none"),
    ],
)
def test_default_and_defined_take_what_is_missing(text, value):
    assert render(text, {"none": None, "s": "t"}) == value


def test_find_gives_none_where_something_is_missing_and_raises_where_it_is_wrong():
    assert Template("order.{{ data.status }}").find({"data": {}}) is None
    assert Template("order.{{ data.status }}").find({"data": {"status": "paid"}}) == "order.paid"
    with pytest.raises(Permanent, match="division by zero"):
        Template("{{ 1 / data.n }}").find({"data": {"n": 0}})


def test_a_text_that_is_no_template_says_its_line():
    with pytest.raises(ValueError, match="line 2: "):
        Template("fine\n{{ data. }}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ data.html | tojson }}", '"<a>&"'),
        ("{{ data.json | from_json }}", {"a": [1]}),
        ("{{ (data.json | from_json).a[0] }}", 1),
        ("{{ data.seconds | iso }}", "2023-11-14T22:13:20.000Z"),
        ("{{ data.ms | iso }}", "2023-11-14T22:13:20.123Z"),
        ("{{ data.time | timestamp }}", 1_700_000_000),
        ("{{ data.tags | split(',') }}", ["a", "b"]),
        ("{{ data.subject | regex_search('#([0-9]+)') | int }}", 42),
        ("{{ data.subject | regex_search('[a-z]+') }}", "icket"),
        ("{{ data.subject | regex_replace('[0-9]', 'x') }}", "Ticket #xx"),
        ("{{ data.subject is startswith('Tick') }}", True),
        ("{{ data.subject is endswith('Tick') }}", False),
        ("{{ data.subject | upper | replace('T', 't') }}", "tICKEt #42"),
    ],
)
def test_filters_and_tests_of_our_own(text, value):
    data = {
        "html": "<a>&",
        "json": '{"a": [1]}',
        "seconds": 1_700_000_000,
        "ms": 1_700_000_000_123,
        "time": "2023-11-14T23:13:20+01:00",
        "tags": "a, b",
        "subject": "Ticket #42",
    }
    assert inspect_template(text, Known()) == []
    assert render(text, data) == value


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": Infinity}', ""])
def test_from_json_says_that_a_text_is_not_json(text):
    with pytest.raises(Permanent, match="from_json: the text is not JSON"):
        render("{{ data | from_json }}", text)


@pytest.mark.parametrize("text", ["{{ 'a' * data }}", "{{ data * [1] }}", "{{ 2 ** data }}"])
def test_a_stranger_s_number_cannot_fill_the_memory(text):
    with pytest.raises(Permanent, match="too large"):
        render(text, 300_000_000)


@given(JSON)
def test_tojson_and_from_json_are_each_other_s_inverse(value):
    assert render("{{ data | tojson | from_json }}", value) == value
    assert json.loads(render("{{ data | tojson }}", value)) == value
