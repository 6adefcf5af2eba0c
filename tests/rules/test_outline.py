"""Texts that differ in constants are checked by their outline: what is found must be what the text itself has."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from relay.rules.check import Known, inspect_condition, inspect_template

KNOWN = Known(vars={"agent": "x"})
SLOWLY = "{##}"
"""A comment: a template that has one is surveyed as it stands."""
OPERANDS = [
    *("data.team", "data.rows[0].id", "data", "data.items.a.b", "data.x.0", "data.naïve", "metadata.x", "data.in"),
    *('"sales"', "'it\"s'", '"data.team"', '"a }} b"', "'{{'", '"X-Id"', '"x\\q"', '"a\nb"', "''", '"', "'"),
    *("5", "08", "1.50", "1e5", "[1, 'a']", '["X-Id"]', "vars.agent", "vars.nope", "event.type", "event.nope"),
    *('headers["x-id"]', 'headers["X-Id"]', "headers", "headers.x-id", "nobody", "data.get('x')", "{'a': 1}"),
    *('(data.at | in_zone("Europe/Paris"))', '(data.at | in_zone("data.x"))', '(data.x | jsonpath("data.team"))'),
    *('(data.x | regex_search("("))', "(data.x | nofilter)", "(data.x is odd)", 'data.x | default("data.y" == "z")'),
]
JOINTS = [
    " == ",
    " != ",
    "<",
    " >= ",
    " and ",
    " or ",
    " in ",
    " not in ",
    " ~ ",
    "==",
    " | map(",
    " is ",
    " if ",
    "\n",
]
expressions = st.lists(st.sampled_from(OPERANDS + JOINTS), min_size=1, max_size=7).map("".join)
holes = expressions.map(lambda text: "{{ " + text + " }}")
words = st.sampled_from(
    ["Deal 7: ", "\n", '"', "'", "{", "}", "}}", " data.team == 5 ", "%}", "{{-", "\r\n", '"x" in data ']
)
statements = st.sampled_from(
    ["{% if data.a == 1 %}", "{% endif %}", "{% for x in data.rows %}", "{% endfor %}", "{% set y = 1 %}", "{{ y }}"]
)
templates = st.lists(st.one_of(holes, words, statements), min_size=1, max_size=6).map("".join)


def found(text: str) -> list[tuple[int, str]]:
    """Without offsets in messages, which the comment moves."""
    return [(line, re.sub(r" at \d+$", "", message)) for line, message in inspect_template(text, KNOWN)]


@given(templates)
@example('say "{{ data.at | in_zone("data.foo") }}" {% if data.at | in_zone("data.foo") %}{% endif %}')
@example("{{{ data.a }} }}")
@example("{{ 'x }} {{ y' }}")
@example("{{ vars.nope }}\n{{ vars.gone }}")
def test_a_template_has_the_faults_of_its_own_text(text: str) -> None:
    text = "{{ data.a }}" + text
    assert found(text) == found(SLOWLY + text)


@given(expressions.filter(lambda text: "{{" not in text))
@example('"X-Id" in headers')
@example('data.a == "x" in headers')
@example('data.a == "x" | regex_search("(")')
def test_a_condition_has_the_faults_of_its_own_text(text: str) -> None:
    told = inspect_condition(text, KNOWN)
    assert bool(told) == bool(inspect_template(SLOWLY + "{{ " + text + " }}", KNOWN)), told
