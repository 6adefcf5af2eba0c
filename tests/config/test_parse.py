"""YAML to a tree: YAML 1.2 meanings, places, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.parse import parse
from relay.config.tree import Leaf, bare, find, key_place, leaves, place
from relay.written.scalar import meaning


def read(text):
    node, faults = parse(text, "f.yaml", 0)
    assert not faults, faults
    return node


def refuse(text):
    _, faults = parse(text, "f.yaml", 0)
    assert faults
    return [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("12:30:45", "12:30:45"),
        ("2026-11-23", "2026-11-23"),
        ("1_000", "1_000"),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("-12", -12),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("0.0.0.0:8080", "0.0.0.0:8080"),
        (":8080", ":8080"),
        ("<", "<"),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text, value):
    found = meaning(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".nan", "-.inf", "1e999", "9" * 500])
def test_what_json_cannot_hold_is_refused(text):
    assert "put it in quotes" in refuse(f"a: {text}")[0]
    assert bare(read(f"a: '{text}'")) == {"a": text}


def test_keys_are_texts_as_they_are_written():
    assert bare(read("on: 1\n1: 2\nnull: 3\n'<<': 4")) == {"on": 1, "1": 2, "null": 3, "<<": 4}
    assert bare(read("a: &key '<<'\nb: {*key : 1}")) == {"a": "<<", "b": {"<<": 1}}


def test_explicit_tags_hold_and_foreign_ones_are_refused():
    assert bare(read("a: !!str 12\nb: ! 12\nc: !!int '12'")) == {"a": "12", "b": "12", "c": 12}
    assert "f.yaml:1:4: a: the tag" in refuse("a: !!python/object:os.system x")[0]


def test_aliases_and_merges_are_filled_in():
    text = "base: &b {x: 1, y: 2}\nother: &o {z: 3}\nuse:\n  <<: [*b, *o]\n  y: 9\nagain: *b"
    assert bare(read(text))["use"] == {"y": 9, "x": 1, "z": 3}
    assert bare(read(text))["again"] == {"x": 1, "y": 2}


def test_a_merge_of_something_else_is_refused():
    assert "f.yaml:1:1: <<: must be a mapping" in refuse("<<: 3")[0]


def test_a_key_given_twice_names_both_places():
    assert refuse("a:\n  b: 1\n  c: 2\n  b: 3") == ["f.yaml:4:3: a.b: is given twice, first at f.yaml:2:3: keep one"]


def test_an_alias_bomb_is_refused_before_it_grows():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (told,) = refuse("\n".join(rows))
    assert "aliases expand to more than 100000 values" in told


def test_aliases_that_nest_deep_in_one_another_are_refused():
    rows = ["a0: &a0 [1]", *(f"a{n}: &a{n} {'[' * 30}*a{n - 1}{']' * 30}" for n in range(1, 60))]
    (told,) = refuse("\n".join(rows))
    assert "is nested deeper than 64 levels" in told
    assert "a3" in told


@pytest.mark.parametrize("text", ["a: &x [*x]", "&x {a: *x}", "a: *nobody"])
def test_aliases_of_themselves_or_of_nothing_are_refused(text):
    assert len(refuse(text)) == 1


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 5_000 + "}" * 5_000, "- " * 3_000 + "x"])
def test_deep_nesting_is_refused_without_a_crash(text):
    (told,) = refuse(text)
    assert "is nested deeper than 64 levels" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hooks: [::]:8080", "f.yaml:1:8: yaml: a value that begins with [:: is YAML syntax: put it in quotes"),
        ("x: {{ a }}-b", "f.yaml:1:4: x: a value that begins with {{ is YAML syntax: put it in quotes"),
        ("a: {b: ${C}}", "f.yaml:1:8: yaml: a value that begins with ${ is YAML syntax: put it in quotes"),
        ("a:\n  b: {{ c }}", "f.yaml:2:6: a.b: a value that begins with {{ is YAML syntax: put it in quotes"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: yaml: a second document begins here"),
        ("a: b: c", "f.yaml:1:5: yaml: mapping values are not allowed in this context: put a text that contains `: `"),
        ("a: @b", "put a text that begins with @"),
        ("a: 'b", "close the quotes"),
        ("é: \x01", "f.yaml:1:4: yaml: the character U+0001 is not allowed"),
        ("a: 1\n b: 2", "f.yaml:2"),
    ],
)
def test_broken_yaml_says_where_and_what_to_do(text, told):
    assert told in refuse(text)[0]


def test_an_empty_file_holds_nothing():
    for text in ("", "# only a comment\n", "\n\n", "%YAML 1.2\n---\n"):
        node, faults = parse(text, "f.yaml", 0)
        assert not faults
        assert node is None or bare(node) is None


def test_places_of_keys_values_and_what_is_missing():
    node = read("cargo:\n  token: x\n  list: [1, 22]\nempty:\n")
    assert str(place(node, ("cargo", "token"))) == "f.yaml:2:10"
    assert str(key_place(node, ("cargo", "token"))) == "f.yaml:2:3"
    assert str(place(node, ("cargo", "list", 1))) == "f.yaml:3:13"
    assert str(place(node, ("cargo", "gone"))) == "f.yaml:1:1"
    assert str(place(node, ("cargo",))) == "f.yaml:1:1"
    assert find(node, ("cargo", "list", 2)) is None


def test_content_of_block_scalars_begins_on_the_next_line():
    node = read("a: |\n  one\n  two\nb: >-\n\n  x\nc: plain")
    firsts = {path[0]: leaf.first for path, leaf in leaves(node)}
    assert firsts == {"a": 2, "b": 5, "c": 7}


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_parses_or_has_faults(text):
    node, faults = parse(text, "f.yaml", 0)
    for fault in faults:
        assert fault.mark.line >= 1
        assert fault.mark.column >= 1
    assert node is not None or faults or not text.strip() or "#" in text or "-" in text or "." in text or "%" in text


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,? \n\t<~$1.", max_size=60))
def test_any_soup_of_indicators_parses_or_has_faults(text):
    node, _ = parse(text, "f.yaml", 0)
    if node is not None:
        assert all(isinstance(leaf, Leaf) for _, leaf in leaves(node))


@pytest.mark.parametrize("scalar", ["x", "&a x", "!!str x", "'x'"])
def test_scalars_of_all_kinds_may_stand_as_deep_as_each_other(scalar):
    def nest(levels, inside):
        return "[" * levels + inside + "]" * levels

    read(f"at: {nest(63, scalar)}")
    read(f"first: &b x\nat: {nest(63, '*b')}")
    for text in (f"at: {nest(64, scalar)}", f"first: &b x\nat: {nest(64, '*b')}"):
        assert "is nested deeper than 64 levels" in refuse(text)[0]
