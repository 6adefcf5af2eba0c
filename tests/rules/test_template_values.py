"""Null is nothing and values are JSON: in every operator, filter and test of the template language."""

import json

import pytest

from relay.errors import Permanent
from relay.rules.filters import FILTERS
from relay.rules.predicates import TESTS
from relay.rules.template import Condition, Template

BIG = 12_345_678_901_234_567_890_123
DATA = {
    "null": None,
    "true": True,
    "false": False,
    "one": 1.0,
    "big": BIG,
    "list": ["a", None, True],
    "object": {"k": None, "t": True},
    "text": "Ann",
    "number": 5,
    "rows": [{"n": 2, "s": "b"}, {"n": None, "s": None}, {"n": 1, "s": "A"}],
}

OPERATORS = {
    "data.text ~ ' ' ~ data.null": "Ann ",
    "null ~ none ~ 'x'": "x",
    "true ~ false ~ 1.0 ~ [null] ~ {'a': true}": 'truefalse1.0[null]{"a":true}',
    "data.big ~ ''": str(BIG),
    "data.list ~ data.object": '["a",null,true]{"k":null,"t":true}',
    "(data.list | map('upper')) ~ ''": '["A","","TRUE"]',
    "data.text + data.null": "Ann",
    "data.null + data.text": "Ann",
    "data.list + data.null": ["a", None, True],
    "data.null + data.null": None,
    "data.list + [false]": ["a", None, True, False],
    "data.number + 1": 6,
    "2 ** 3 * -1": -8,
    "'ab' * 2": "abab",
    "'%s|%s|%s|%s' % (data.null, data.true, data.object, 1.0)": '|true|{"k":null,"t":true}|1.0',
    "'%r %d' % (data.text, 3)": '"Ann" 3',
    "'%s' % data.list": '["a",null,true]',
    "'%(k)s%(t)s' % data.object": "true",
    "'%s' % data.null": "",
    "7 % 4": 3,
    "data.null[:2]": None,
    "data.text[:2]": "An",
    "data.text[data.null:2]": "An",
    "data.list[-2:]": [None, True],
    "data.null == none": True,
    "data.null == ''": False,
    "data.true == 1": False,
    "data.false == 0": False,
    "data.one == 1": True,
    "[true, {'a': 0}] == [1, {'a': false}]": False,
    "[1, {'a': null}] == [1.0, {'a': null}]": True,
    "data.true != 1": True,
    "data.null < 1": False,
    "data.null >= data.null": False,
    "not data.null > 1": True,
    "1 < data.number <= 5": True,
    "1 < data.null < 5": False,
    "'a' < 'b'": True,
    "false < true": True,
    "[1, 2] < [1, 3]": True,
    "data.null in 'None'": False,
    "data.null in ['a']": False,
    "data.null in data.list": True,
    "1 in data.list": False,
    "true in data.list": True,
    "'a' in data.null": False,
    "'a' not in data.null": True,
    "5 in '456'": True,
    "'k' in data.object": True,
    "data.null in data.object": False,
    "[] in data.object": False,
    "'A' in (data.list | map('upper'))": True,
    "data.null or 'x'": "x",
}

FILTERED = {
    "abs": {"data.null | abs": None, "-5 | abs": 5},
    "batch": {"data.null | batch(2)": [], "data.list | batch(2)": [["a", None], [True]]},
    "capitalize": {"data.null | capitalize": "", "data.true | capitalize": "True"},
    "center": {"data.null | center(3)": "   ", "data.false | center(7)": " false "},
    "count": {"data.null | count": 0, "data.list | map('string') | count": 3},
    "d": {"data.null | d('x')": None, "data.null | d('x', true)": "x"},
    "default": {"data.null | default('x')": None, "data.gone | default(null)": None},
    "dictsort": {
        "data.null | dictsort": [],
        "{'b': null, 'a': 2, 'c': 'x'} | dictsort(by='value')": [["b", None], ["a", 2], ["c", "x"]],
    },
    "domain": {"data.null | domain": None, "'Kim@Www.Acme.example' | domain": "acme.example"},
    "e164": {"data.null | e164('FR')": None, "612345678 | e164('FR')": "+33612345678"},
    "fence": {"data.null | fence": None, "data.number | fence": 5, "data.true | fence": True, "' ' | fence": " "},
    "filesizeformat": {"data.null | filesizeformat": "", "1000 | filesizeformat": "1.0 kB"},
    "first": {"data.null | first | default('none')": "none", "[null] | first": None},
    "float": {"data.null | float": 0.0, "'x' | float(null)": None},
    "format": {
        "'%s-%s' | format(data.null, data.true)": "-true",
        "'%(a)s' | format(a=data.object)": '{"k":null,"t":true}',
        "data.null | format(1)": "",
    },
    "from_json": {"data.null | from_json": None, "'null' | from_json": None, "'true' | from_json": True},
    "groupby": {
        "data.null | groupby('n')": [],
        "data.rows | groupby('s') | map('first')": [None, "A", "b"],
    },
    "in_zone": {"data.null | in_zone('UTC')": None, "0 | in_zone('Asia/Tokyo')": "1970-01-01T09:00:00+09:00"},
    "indent": {"data.null | indent": "", "data.object | indent": '{"k":null,"t":true}'},
    "int": {"data.null | int": 0, "'x' | int(null)": None, "'9' | int": 9},
    "iso": {"data.null | iso": None, "0 | iso": "1970-01-01T00:00:00.000Z"},
    "items": {"data.null | items": [], "data.object | items": [["k", None], ["t", True]]},
    "join": {
        "data.list | join(',')": "a,,true",
        "data.null | join(',')": "",
        "data.list | join(null)": "atrue",
        "data.rows | join('|', attribute='n')": "2||1",
        "[1.0, {'a': null}] | join(' ')": '1.0 {"a":null}',
    },
    "jsonpath": {"data.null | jsonpath('$.a')": [], "data.rows | jsonpath('$[*].n')": [2, None, 1]},
    "last": {"data.null | last | default('none')": "none", "data.list | map('string') | last": "true"},
    "length": {"data.null | length": 0, "data.list | length": 3},
    "list": {"data.null | list": [], "'ab' | list": ["a", "b"]},
    "lower": {"data.null | lower": "", "data.true | lower": "true"},
    "map": {"data.null | map('upper')": [], "data.list | map('upper')": ["A", "", "TRUE"]},
    "max": {"data.null | max | default('none')": "none", "[2, null, 3] | max": 3},
    "min": {
        "[2, null, 3] | min": 2,
        "data.rows | min(attribute='n')": {"n": 1, "s": "A"},
        "[2, 'a', true] | min": True,
    },
    "regex_replace": {"data.null | regex_replace('None', 'x')": "", "true | regex_replace('t', 'T')": "True"},
    "regex_search": {"data.null | regex_search('None') | default('-')": "-", "data.big | regex_search('^123')": "123"},
    "reject": {"data.null | reject": [], "data.list | reject('none')": ["a", True]},
    "rejectattr": {
        "data.null | rejectattr('n')": [],
        "data.rows | rejectattr('n', 'none') | map(attribute='n')": [2, 1],
    },
    "replace": {
        "data.null | replace('None', 'x')": "",
        "data.text | replace('n', data.null)": "A",
        "data.text | replace(data.null, 'x')": "Ann",
        "data.true | replace('t', 'T')": "True",
        "'a true' | replace(true, 1)": "a 1",
    },
    "reverse": {"data.null | reverse": [], "data.list | reverse": [True, None, "a"], "'ab' | reverse": "ba"},
    "round": {"data.null | round": None, "2.5 | round(null)": 2.0},
    "select": {"data.null | select": [], "[0, 1, null] | select": [1], "[1, true] | select('eq', 1)": [1]},
    "selectattr": {
        "data.null | selectattr('n')": [],
        "data.rows | selectattr('n', 'gt', 1) | map(attribute='n')": [2],
        "data.rows | selectattr('s', 'startswith', 'N') | list": [],
    },
    "slice": {"data.null | slice(2)": [[], []]},
    "sort": {
        "data.null | sort": [],
        "[3, null, 'a', true, 1.5, {}, [], false] | sort": [None, False, True, 1.5, 3, "a", [], {}],
        "data.rows | sort(attribute='n') | map(attribute='n')": [None, 1, 2],
    },
    "split": {"data.null | split(',')": [], "'a, b' | split(',')": ["a", "b"], "'a b' | split(null)": ["a", "b"]},
    "string": {
        "data.null | string": "",
        "data.true | string": "true",
        "data.one | string": "1.0",
        "data.big | string": str(BIG),
        "data.list | string": '["a",null,true]',
        "data.object | string": '{"k":null,"t":true}',
    },
    "strip_html": {"data.null | strip_html": "", "'<b>a</b> &lt; b' | strip_html": "a < b"},
    "striptags": {"data.null | striptags": "", "data.false | striptags": "false"},
    "sum": {"data.null | sum": 0, "[1, null, 2] | sum": 3, "data.rows | sum('n')": 3},
    "timestamp": {"data.null | timestamp": None, "'1970-01-01T00:00:01Z' | timestamp": 1},
    "title": {"data.null | title": "", "data.true | title": "True"},
    "tojson": {"data.null | tojson": "null", "data.true | tojson": "true"},
    "trim": {"data.null | trim": "", "' a ' | trim(null)": "a"},
    "truncate": {
        "data.null | truncate(3)": "",
        "data.null | truncate(null)": "",
        "data.big | truncate(9)": "123456...",
    },
    "truncate_words": {"data.null | truncate_words(1)": "", "'a b' | truncate_words(1, null)": "a..."},
    "unique": {
        "data.null | unique": [],
        "[1, true, 1.0, null, null, {'a': 1}, {'a': 1}] | unique": [1, True, None, {"a": 1}],
    },
    "upper": {"data.null | upper": "", "data.true | upper": "TRUE", "data.object | upper": '{"K":NULL,"T":TRUE}'},
    "urlencode": {
        "data.null | urlencode": "",
        "data.object | urlencode": "k=&t=true",
        "[['a', null]] | urlencode": "a=",
        "data.true | urlencode": "true",
    },
    "wordcount": {"data.null | wordcount": 0, "data.true | wordcount": 1},
    "wordwrap": {"data.null | wordwrap(3)": "", "data.true | wordwrap(9)": "true"},
}

TESTED = {
    "!=": {"[1, true] | select('!=', 1) | list": [True]},
    "<": {"[1, null] | select('<', 2) | list": [1]},
    "<=": {"[1, null] | select('<=', 1) | list": [1]},
    "==": {"[1, true] | select('==', true) | list": [True]},
    ">": {"[1, null] | select('>', 0) | list": [1]},
    ">=": {"[1, null] | select('>=', 0) | list": [1]},
    "boolean": {"data.null is boolean": False, "data.true is boolean": True},
    "callable": {"data.null is callable": False, "data.object is callable": False},
    "defined": {"data.null is defined": True, "data.gone is defined": False},
    "divisibleby": {"data.null is divisibleby(2)": False, "4 is divisibleby(null)": False, "4 is divisibleby(2)": True},
    "endswith": {
        "data.null is endswith('e')": False,
        "data.true is endswith('ue')": True,
        "'a' is endswith(null)": False,
    },
    "eq": {"data.true is eq(1)": False},
    "equalto": {"data.null is equalto(null)": True},
    "escaped": {"data.null is escaped": False},
    "even": {"data.null is even": False, "data.false is even": False, "4 is even": True, "'4' is even": False},
    "false": {"data.false is false": True, "data.null is false": False},
    "filter": {"data.null is filter": False, "data.list is filter": False, "'upper' is filter": True},
    "float": {"data.one is float": True, "data.null is float": False},
    "ge": {"data.null is ge(0)": False},
    "greaterthan": {"data.null is greaterthan(0)": False},
    "gt": {"data.number is gt(1)": True, "data.null is gt(1)": False},
    "in": {"data.null is in('None')": False, "data.null is in(data.list)": True, "1 is in([true])": False},
    "integer": {"data.big is integer": True, "data.true is integer": False, "data.null is integer": False},
    "iterable": {"data.null is iterable": False, "data.list is iterable": True},
    "le": {"data.null is le(0)": False},
    "lessthan": {"data.null is lessthan(9)": False},
    "lower": {"data.null is lower": False, "'a' is lower": True},
    "lt": {"data.null is lt(9)": False},
    "mapping": {"data.null is mapping": False, "data.object is mapping": True},
    "ne": {"data.null is ne('')": True, "data.true is ne(1)": True},
    "none": {"data.null is none": True, "data.false is none": False},
    "number": {"data.true is number": False, "data.one is number": True, "data.null is number": False},
    "odd": {"data.true is odd": False, "data.null is odd": False, "3 is odd": True, "'%d' is odd": False},
    "sameas": {"data.big is sameas(12345678901234567890123)": True, "1 is sameas(true)": False},
    "sequence": {"data.null is sequence": False, "data.list is sequence": True},
    "startswith": {
        "data.null is startswith('No')": False,
        "data.null is startswith('')": False,
        "'abc' is startswith(null)": False,
        "data.true is startswith('tr')": True,
        "data.big is startswith(123)": True,
        "data.object is startswith('{')": True,
    },
    "string": {"data.null is string": False, "data.text is string": True},
    "test": {"data.null is test": False, "data.object is test": False, "'odd' is test": True},
    "true": {"data.true is true": True, "1 is true": False},
    "undefined": {"data.null is undefined": False, "data.gone is undefined": True},
    "upper": {"data.null is upper": False, "'A' is upper": True},
}


def render(text):
    return Template(text).render({"data": DATA})


def cases(table):
    return [pytest.param(text, value, id=text) for each in table.values() for text, value in each.items()]


@pytest.mark.parametrize(("text", "value"), cases({"operators": OPERATORS}) + cases(FILTERED) + cases(TESTED))
def test_null_is_nothing_and_values_are_json(text, value):
    got = render(f"{{{{ {text} }}}}")
    assert json.dumps(got) == json.dumps(value)  # tells true from 1


@pytest.mark.parametrize(("text", "value"), cases({"operators": OPERATORS}) + cases(TESTED))
def test_a_condition_sees_the_same(text, value):
    assert Condition(text).holds({"data": DATA}) is bool(value)


def test_every_filter_and_every_test_has_its_case():
    assert set(FILTERED) == set(FILTERS)
    assert set(TESTED) == set(TESTS)


@pytest.mark.parametrize("name", sorted(FILTERED))
def test_no_filter_writes_as_python_does(name):
    """Whatever stands before it, no `None`, no `True`, no quotes of Python come out."""
    arguments = {"center": "(9)", "batch": "(2)", "slice": "(2)", "groupby": "('k')", "map": "('string')"}
    arguments |= {"regex_replace": "('x', 'y')", "regex_search": "('.*')", "replace": "('x', 'y')"}
    arguments |= {"rejectattr": "('k')", "selectattr": "('k')", "default": "('x', true)", "d": "('x', true)"}
    arguments |= {"e164": "('FR')", "in_zone": "('UTC')", "jsonpath": "('$')", "truncate_words": "(2)"}
    for key in ("null", "false", "one", "big", "list", "object"):
        try:
            got = render(f"a{{{{ data.{key} | {name}{arguments.get(name, '')} }}}}")
        except Permanent:
            continue
        assert "None" not in got
        assert "False" not in got.replace("False", "false" if name in {"capitalize", "title"} else "False")
        assert "'" not in got.replace("customer's", "" if name == "fence" else "customer's")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "{{ data.null * 2 }}",
            "* takes two numbers, or a text or list and a whole number, here are null and a number",
        ),
        ("{{ data.null - 2 }}", "- takes two numbers, here are null and a number; | default(0, true)"),
        ("{{ -data.null }}", "- takes a number, not null; | default(0, true)"),
        ("{{ data.true + 1 }}", "here are true or false and a number"),
        ("{{ data.text + 1 }}", "~ joins values of all kinds as text"),
        ("{{ data.text > 1 }}", "> is not supported between text and a number"),
        ("{{ 'a' in data.number }}", "not into a number"),
        ("{{ data.number[:2] }}", "not out of a number"),
        ("{{ data.number | join }}", "join takes a list, not a number"),
        ("{{ data.text | round }}", "round takes a number, not text; write | float before"),
        ("{{ data.true | abs }}", "abs takes a number, not true or false"),
        ("{{ data.list | items }}", "items takes an object, not a list"),
        ("{% for x in data.number %}{% endfor %}", "a loop goes through a list, not through a number"),
        ("{{ '%d' % data.null }}", "the format does not fit what it is given"),
        ("{{ '%(gone)s' % data.object }}", 'the format names "gone", which it is not given'),
        ("{{ data.gone ~ 'x' }}", "data.gone is missing"),
        ("{{ data.gone is startswith('x') }}", "data.gone is missing"),
        ("{{ [data.gone] | join }}", "data.gone is missing"),
        ("{{ data.gone | upper }}", "data.gone is missing"),
        ("{{ data.gone == 1 }}", "data.gone is missing"),
        ("{{ true == data.gone }}", "data.gone is missing"),
    ],
)
def test_what_has_no_answer_says_so_in_words_of_json(text, told):
    with pytest.raises(Permanent) as caught:
        render(text)
    assert told in str(caught.value)
    assert "NoneType" not in str(caught.value)


def test_a_loop_over_null_does_not_turn():
    assert render("a{% for x in data.null %}{{ x }}{% else %}-{% endfor %}") == "a-"


def test_json_made_of_large_values_counts_as_work():
    """Else a short loop could write the whole body anew at each of its turns."""
    rows = [{"text": "x" * 100}] * 2_000
    for text in ("data | wordcount", "data ~ ''", "data is startswith('x')", "[data] | sort", "[data] | unique | list"):
        with pytest.raises(Permanent, match="more work"):
            Template(f"{{% for _ in range(1000) %}}{{% set x = {text} %}}{{% endfor %}}").render({"data": rows})
