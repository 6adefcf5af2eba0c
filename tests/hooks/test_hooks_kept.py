"""What is kept of headers: the quick way for those of every day is the slow way for all others."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from relay.hooks.kept import clean, keep
from relay.schemes import Headers

SECRET = frozenset({"x-signed"})
_NAME = st.sampled_from(
    ["Host", "host", "X-Signed", "Authorization", "X-API-Key", "X-Shop", "x-shop", "Content-Type"]
) | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
_VALUE = st.text(st.characters(max_codepoint=255), max_size=12) | st.sampled_from(["\udcff", "a\0b", "x" * 5_000])


def slowly(pairs):
    """Each name once, in the order in which it came first, while 64 names and 8 KiB hold them."""
    kept, space = {}, 8_192
    for name in dict.fromkeys(name.lower() for name, _ in pairs):
        if name in SECRET or re.search("authorization|cookie|token|secret|signature|passw|credential|api-?key", name):
            continue
        value = clean(", ".join(value for other, value in pairs if other.lower() == name))
        space -= len(name) + len(value)
        if space < 0 or len(kept) == 64:
            break
        kept[name] = value
    return kept


@given(st.lists(st.tuples(_NAME, _VALUE), max_size=12))
@example([(f"x-{number}", "v") for number in range(70)])
@example([("x" * 3_000, "v"), ("y", "w")])
@example([("a", "x" * 8_191)])
@example([("a", "x" * 8_192), ("b", "")])
def test_what_is_kept_of_headers(pairs):
    assert keep(Headers(pairs), SECRET) == slowly(pairs)


@given(st.text())
def test_what_is_clean_can_be_kept_and_stays_as_it_is(text):
    cleaned = clean(text)
    assert "\0" not in cleaned
    assert cleaned.encode().decode() == cleaned == clean(cleaned)
