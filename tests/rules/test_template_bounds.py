"""What a stranger sends decides how long a template works: every one ends, and what it refuses is said."""

import json

import pytest

from relay.errors import Permanent
from relay.rules import Template
from relay.rules.budget import ITEMS, SLOW, STEP, WORK, Rendering, metered
from relay.rules.check import Known, inspect_template
from relay.rules.filters import FILTERS
from relay.rules.pattern import LONGEST, compile_pattern
from relay.rules.sandbox import STRICT
from relay.rules.template import compile_condition

MANY = list(range(2_000))
LONG = "a" * (1 << 20)


def render(text, data=None):
    return Template(text).render({"data": data})


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("{% for a in data %}{% for b in data %}{% endfor %}{% endfor %}", MANY),
        ("{% for a in data %}{% for b in data if false %}{% endfor %}{% endfor %}", MANY),
        ("{% for a in data recursive %}{% if loop.depth < 9 %}{{ loop(data) }}{% endif %}{% endfor %}", MANY),
        ("{% macro m() %}{% for a in data %}x{% endfor %}{% endmacro %}{% for a in data %}{{ m() }}{% endfor %}", MANY),
        ("{% for a in data.many %}{{ data.text }}{% endfor %}", {"many": MANY, "text": LONG}),
        ("{% for a in data.many %}{% if a ~ '' in data.text %}{% endif %}{% endfor %}", {"many": MANY, "text": LONG}),
        ("{% for a in data.many %}{% set x = data.text[1:] %}{% endfor %}", {"many": MANY, "text": LONG}),
        ("{% for a in data.many %}{% set x = data.text + 'x' %}{% endfor %}", {"many": MANY, "text": LONG}),
        ("{% for a in data.many %}{% set x = data.text | upper %}{% endfor %}", {"many": MANY, "text": LONG}),
        ("{% set s = data %}" + "{% set s = s ~ s %}" * 40, "ab"),
        ("{% for a in range(60000) %}" + "x" * 5_000 + "{% endfor %}", None),
        ("{{ data | map('upper') | list }}", ["a"] * 100_000),
        ("{{ data | select('in', data) | list }}", ["a"] * 10_000),
        ("{{ data | sort }}", [0] * 100_000),
        ("{% for a in range(999) %}{% if data == data + [1] or data == data + [] %}{% endif %}{% endfor %}", MANY),
        ("{% for a in range(9999) %}{% if 0.5 in data or null in data or true in data %}{% endif %}{% endfor %}", MANY),
        ("{% for a in range(999) %}{% if [1] in data %}{% endif %}{% endfor %}", MANY),
        ("{% for a in range(9999) %}{% set x = data | join %}{% endfor %}", [None] * 2_000),
        ("{% for a in range(9999) %}{% set x = data | sum %}{% endfor %}", [None] * 2_000),
        ("{{ data | groupby('a') }}", [{"a": 1}] * 100_000),
        ("{{ data | regex_replace('a+(.*z)?', 'b') }}", "a-" * 32_000),
        ("{{ data | regex_replace('a', 'b') }}", LONG[: LONGEST // 2]),
    ],
)
def test_a_rendering_that_does_too_much_ends(text, data):
    with pytest.raises(Permanent, match=f"more work than one template may \\({WORK} characters and items"):
        render(text, data)


def test_a_condition_ends_likewise():
    condition = compile_condition("data.many | select('in', data.many) | list")
    with pytest.raises(ValueError, match="more work than one template may"):
        condition({"data": {"many": [str(number) for number in range(10_000)]}})


def test_each_rendering_has_a_budget_of_its_own():
    template = Template("{% for a in data %}{{ a | upper }}{% endfor %}")
    most = WORK // (4 * STEP)
    for _ in range(3):
        assert template.render({"data": ["a"] * most}) == "A" * most


def test_every_filter_is_metered():
    """One that is added and not wrapped would be counted by nothing."""
    for name, function in STRICT.filters.items():
        assert function.__code__.co_qualname.startswith(metered.__name__), name
    assert STRICT.filters == FILTERS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 'a' | center(1000000000) }}", "1 MiB"),
        ("{{ 'a\nb' | indent(1000000000) }}", "1 MiB"),
        ("{{ data | replace('', data) }}", "1 MiB"),
        ("{{ data | list | join(data) }}", "1 MiB"),
        ("{{ '%999999999d' | format(1) }}", "at most four digits"),
        ("{{ '%(a)999999999d' | format(a=1) }}", "at most four digits"),
        ("{{ '%.999999999f' % 1 }}", "at most four digits"),
        ("{{ '%*d' % (999999999, 1) }}", "at most four digits"),
        ("{{ [1] | batch(999999999, 0) | list }}", f"at most {ITEMS}"),
        ("{{ [1] | slice(999999999) | list }}", f"at most {ITEMS}"),
        ("{{ 5 | round(-999999999) }}", "a precision is within 400"),
        ("{{ [[1]] | sum(start=[]) }}", "sum: it begins with a number"),
        ("{{ data | trim(data) }}", "an argument has at most 1000"),
        ("{{ (data * 10) | wordwrap }}", f"at most {SLOW} characters"),
        ("{{ (data * 10) | striptags }}", f"at most {SLOW} characters"),
        ("{{ (data * 100) | regex_search('a') }}", f"at most {LONGEST} characters"),
        ("{{ 'a' | regex_replace('a', data) }}", "at most 4096"),
    ],
)
def test_what_would_make_much_out_of_little_is_refused_before_it_is_made(text, said):
    with pytest.raises(Permanent, match=said):
        render(text, "a" * 5_000)


def test_numbers_that_a_hash_cannot_tell_apart_are_told_apart_in_time():
    """All of these have the same hash in Python: in a set each would be compared with all before it."""
    prime = (1 << 61) - 1
    alike = [number * prime for number in range(20_000)]
    assert len({hash(number) for number in alike}) == 1
    assert render("{{ data | unique }}", alike) == alike


@pytest.mark.parametrize(
    ("items", "kept"),
    [
        ([1, 1.0, True, 2, "1"], [1, True, 2, "1"]),
        (["b", "B", "a"], ["b", "a"]),
        ([0.5, 0.5, 1e300, int(1e300)], [0.5, 1e300]),
        ([None, None], [None]),
    ],
)
def test_unique_keeps_what_json_tells_apart(items, kept):
    assert render("{{ data | unique }}", items) == kept


def test_nested_quantifiers_are_no_trap():
    """Python's own engine would try two to the power of the length."""
    assert render("{{ data | regex_search('^(a+)+$') | default('none') }}", "a" * 60_000 + "b") == "none"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(?=a)b", "RE2 has no lookaround"),
        (r"(a)\\1", "no backreference"),
        (r"a\\Z", "the end of the text is \\z"),
        ("(", "the pattern is wrong"),
        ("(?:a{1000}){1000}", "the pattern is wrong"),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        "{{ data.x | regex_search('%s') }}",
        "{{ data.x | regex_replace(pattern='%s') }}",
        "{{ data | map('regex_search', '%s') }}",
    ],
)
def test_what_re2_does_not_take_is_found_at_load(form, pattern, said):
    [(line, message)] = inspect_template("\n" + form % pattern, Known())
    assert line == 2
    assert said in message


def test_groups_and_letters_of_other_scripts():
    assert render(r"{{ data | regex_replace('(\\pL+) (\\pL+)', '\\2 \\1') }}", "Łódź Żar!") == "Żar Łódź!"
    assert render("{{ data | regex_search('#([0-9]+)') }}", "Ticket #42") == "42"
    assert compile_pattern("a").groups == 0


def test_half_of_a_surrogate_pair_is_no_text_for_a_pattern():
    with pytest.raises(Permanent, match="half of a surrogate pair"):
        render("{{ data | regex_search('a') }}", json.loads('"\\ud800"'))


def test_work_is_what_is_taken_and_given():
    rendering = Rendering(STRICT, {}, None, {})
    FILTERS["upper"](rendering, "abc")
    assert WORK - rendering.left == STEP + 3 + 3
