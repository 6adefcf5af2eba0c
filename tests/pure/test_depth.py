"""Depth is counted, so that every Python refuses the same."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.depth import TooDeep, load, text_exceeds, value_exceeds

TEXTS = st.text('[]{}"\\,:a', max_size=8)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def measure(value):
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(measure, inside), default=0)


def nest(depth, value=None):
    for at in range(depth):
        value = {'"]}\\': value} if at % 2 else [value]
    return value


@given(VALUES, st.sampled_from([0, 1, 2, 3, 30]), st.booleans())
def test_brackets_count_and_what_is_inside_of_strings_does_not(value, around, ascii_only):
    value = nest(around, value)
    depth = measure(value)
    text = json.dumps(value, ensure_ascii=ascii_only)
    for most in {0, 1, max(depth - 1, 0), depth, depth + 1}:
        assert text_exceeds(text, most) is (depth > most)
        assert value_exceeds(value, most) is (depth > most)


@pytest.mark.parametrize("text", ["[" * 5_000, '{"a":' * 5_000, "[[" * 5_000 + "]" * 9_000, '["\\"",' * 5_000])
def test_a_broken_text_is_too_deep_where_it_is_before_it_breaks(text):
    assert text_exceeds(text, 200)
    with pytest.raises(TooDeep):
        load(text.encode(), 200)


@given(TEXTS.map(lambda text: text * 40))
def test_what_is_too_deep_to_read_is_never_let_through(text):
    """What goes on to the parser either parses to what is shallow, or breaks before it is deep."""
    with contextlib.suppress(ValueError):
        assert measure(load(text, 5)) <= 5


def test_the_words_of_a_text_in_another_encoding_are_read_too():
    assert load(json.dumps(nest(3)).encode("utf-16"), 3) == nest(3)
    with pytest.raises(TooDeep):
        load(json.dumps(nest(4)).encode("utf-16"), 3)
