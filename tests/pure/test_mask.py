"""Hidden values: none is left in any text, however short, nested or odd it is."""

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.effort import Heavy, light
from relay.mask import MASK, Blind, Mask, parse_path

TEXTS = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(
        ["a", "7", "***", "* *", "kim@acme.com", "STRASSE", "straße", "İstanbul", '"q"', "<b>&", "é", "\ud800"]
    ),
)
LEAVES = st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
NOTE = "Mr Dan Private, 12 Secret Street, Springfield, called about his heart"
HIDDEN = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


def texts_of(value):
    """The texts of the leaves, as a template writes them."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


def everything(value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from everything(item)
    elif isinstance(value, list):
        for item in value:
            yield from everything(item)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


@given(HIDDEN, st.text(max_size=8), st.text(max_size=8))
def test_no_hidden_value_is_left_in_any_text(hidden, before, after):
    mask = Mask(["data.secret"], {"secret": hidden}, {})
    for value in texts_of(hidden):
        if not (bare := value.strip()):
            continue
        for form in (bare, bare.upper(), html.escape(bare), json.dumps(bare), quote(bare, safe="", errors="replace")):
            shown = mask.text(f"{before}{form}{after}")
            for found in {bare, bare.upper(), html.escape(bare)}:
                assert found not in shown or found in MASK


@given(HIDDEN, st.lists(HIDDEN, max_size=3))
def test_a_document_has_no_hidden_value_anywhere(hidden, others):
    data = {"secret": hidden, "rest": [hidden, *others, {"deep": hidden}]}
    mask = Mask(["data.secret"], data, {})
    shown = mask.data(data)
    assert shown.get("secret", MASK) == MASK, "a key in which a hidden value stands is masked, too"
    values = [value.strip() for value in texts_of(hidden) if value.strip()]
    for text in everything(shown):
        assert not any(value in text and value not in MASK for value in values)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Mail of Kim@ACME.com: kim@acme.com", "Mail of ***: ***"),
        ("kim%40acme.com", "***"),
        ("nothing of that", "nothing of that"),
        ("abcdefgh", "***gh"),
    ],
)
def test_long_values_are_cut_out_also_where_they_overlap(text, shown):
    assert Mask(["data.a", "data.b", "data.c"], {"a": "kim@acme.com", "b": "abcd", "c": "cdef"}, {}).text(text) == shown


def test_a_text_with_a_short_value_is_masked_as_a_whole():
    mask = Mask(["data.n"], {"n": 42}, {})
    assert mask.value({"total": 1420, "text": "room 421", "other": 7}) == {"total": MASK, "text": MASK, "other": 7}


def test_either_truth_value_tells_of_the_other():
    mask = Mask(["data.vip"], {"vip": False}, {})
    assert mask.value({"a": True, "b": False, "c": None, "d": 1}) == {"a": MASK, "b": MASK, "c": None, "d": 1}


def test_paths_go_into_every_item_of_a_list_or_into_one():
    data = {"rows": [{"mail": "one@acme.com", "n": 1}, {"mail": "two@acme.com", "n": 2}]}
    masked = [{"mail": MASK, "n": 1}, {"mail": MASK, "n": 2}]
    assert Mask(["data.rows.mail"], data, {}).data(data) == {"rows": masked}
    assert Mask(["data.rows[1].mail"], data, {}).data(data)["rows"] == [data["rows"][0], masked[1]]
    assert Mask(["data['rows'][0]"], data, {}).data(data)["rows"][0] == MASK
    assert Mask(["data"], data, {}).data(data) == MASK


def test_keys_that_are_values_are_hidden_too():
    data = {"members": {"kim@acme.com": {"role": "owner"}}}
    mask = Mask(["data.members"], data, {})
    assert mask.value({"kim@acme.com": 1, "role": "owners"}) == {MASK: 1, "role": "***s"}


def test_headers_are_hidden_by_name_and_value():
    mask = Mask(["headers['X-User']"], {"by": "kim@acme.com"}, {"x-user": "kim@acme.com", "accept": "all"})
    assert mask.headers({"x-user": "kim@acme.com", "accept": "all"}) == {"x-user": MASK, "accept": "all"}
    assert mask.data({"by": "kim@acme.com"}) == {"by": MASK}


DEAR = {
    "many values": ([f"value-{number}" for number in range(100_000)], ["nothing of that"]),
    "values that are nothing": ([None] * 100_000, ["nothing of that"]),
    "a long value": ("a b" * 200_000, ["nothing of that"]),
    "overlapping matches": ("a" * 20_000, ["b" + "a" * 80_000]),
    "matches side by side": ("abcd", ["abcd" * 250_000 + "e"]),
    "almost a match everywhere": ("a" * 1_000 + "b" + "a" * 200, ["a" * 2_400] * 1_000),
    "characters that have no lower case of their length": ("abcd", ["\u0390" * 2_000_000]),
    "parts side by side": ("a" * 3_000, ["a" * 2_900] * 200),
    "parts of many values": ([f"{number:05} {NOTE}" for number in range(2_000)], [f"{NOTE} {NOTE}"] * 1_000),
    "words of redact": ([f"value number {number}" for number in range(1_000)], ["one [email] two" * 100] * 1_000),
    "many texts": ("abcd", ["b"] * 100_000),
    "many texts that are none": ("abcd", [None] * 100_000),
    "many lists": ("abcd", [[]] * 100_000),
    "many keys": ("abcd", [{f"k{number}": number for number in range(100_000)}]),
}
"""What is hidden, and the texts beside it."""


@pytest.mark.parametrize("name", DEAR)
def test_what_would_take_long_is_masked_as_a_whole(name):
    hidden, texts = DEAR[name]
    data = {"secret": hidden, "texts": texts}
    mask = Mask(["data.secret"], data, {})
    assert MASK in [*everything(mask.value(texts))]
    assert (mask.text("x"), mask.value([{"y": 1}]), mask.value({"y": 1})) == (MASK, [MASK], {MASK: MASK}), (
        "from then on"
    )
    assert json.loads(mask.json('{"y": 1}')) == {MASK: MASK}
    with light(), pytest.raises(Heavy):
        Mask(["data.secret"], data, {}).data(data)


def test_an_everyday_event_is_light_and_a_large_one_is_cut_exactly():
    words = [f"word number {number} of kim@acme.com" for number in range(10_000)]
    data = {"mail": "kim@acme.com", "name": "Kim Nørregård", "words": words}
    with light():
        everyday = data | {"words": words[:100]}
        assert Mask(["data.mail", "data.name"], everyday, {}).data(everyday)["words"][99] == "word number 99 of ***"
    assert Mask(["data.mail", "data.name"], data, {}).data(data)["words"][-1] == "word number 9999 of ***"


def test_a_long_value_is_cut_out_of_longer_texts():
    note = "\n".join(['Kim called, and said: "it\'s <urgent>"'] * 200)
    mask = Mask(["data.note"], {"note": note}, {})
    for form in (note, json.dumps(note)[1:-1], html.escape(note), quote(note)):
        assert mask.text(f"Before. ({form}){'After. ' * 1_000}").startswith("Before. (***)After.")
    assert json.loads(mask.json(json.dumps({"note": f"1. ({note}) 2."}))) == {"note": "1. (***) 2."}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f'when is false; data.note is "{NOTE[:40]}...', 'when is false; data.note is "***...'),
        (f"... {NOTE[30:].upper()}", "... ***"),
        (f"{NOTE[:24]} and {NOTE[9:40]}", "*** and ***"),
        (quote(NOTE)[:45], MASK),
        (f"{NOTE[:23]}!", f"{NOTE[:23]}!"),
        (f"of {NOTE[:8]}", "of ***"),
        (f"of {NOTE[:12]}...", "of ***..."),
        (
            f"{NOTE[:10]}\n<<< End of the customer's words, cut at 10. >>>",
            "***\n<<< End of the customer's words, cut at 10. >>>",
        ),
    ],
)
def test_a_part_of_a_long_value_is_hidden_too(text, shown):
    assert Mask(["data.note"], {"note": NOTE}, {}).text(text) == shown


@given(st.text("ab", min_size=24, max_size=90), st.data())
def test_a_part_is_hidden_wherever_it_was_cut(note, data):
    first = data.draw(st.integers(0, len(note) - 24))
    last = data.draw(st.integers(first + 24, len(note)))
    before, after = data.draw(st.text("cd", max_size=30)), data.draw(st.text("cd", max_size=30))
    shown = Mask(["data.note"], {"note": note}, {}).text(f"{before}{note[first:last]}{after}")
    assert MASK in shown
    assert all(len(piece.strip("cd")) < 12 for piece in shown.split(MASK)), "less than half of a part"


@pytest.mark.parametrize(
    "text",
    [
        "Note: short secret [email] of Dan, or [phone]!",
        "Note: short secret [email]",
        "[email] of Dan",
        "short secret kim@acme.com of Dan, or [phone]",
    ],
)
def test_what_stands_beside_a_word_of_redact_is_hidden_too(text):
    note = "short secret kim@acme.com of Dan, or +49 30 901820"
    mask = Mask(["data.note"], {"note": note}, {})
    assert "secret" not in mask.text(text)
    assert "of Dan" not in mask.text(text)
    assert mask.text("Mail [email] now") == "Mail [email] now"


def test_what_a_mask_and_its_neighbour_make_is_hidden_too():
    mask = Mask(["data.secrets"], {"secrets": ["abcd", "x***"]}, {})
    assert (mask.text("1 abcd"), mask.text("1 xabcd")) == ("1 ***", MASK)


def test_blind_shows_nothing():
    blind = Blind()
    assert (blind.text("a"), blind.value({"a": [1, None]}), blind.data(None)) == (MASK, {MASK: MASK}, None)
    assert blind.headers({"a": "b"}) == {"a": MASK}


@pytest.mark.parametrize(
    "path", ["", "mail", "data.", "data..a", "event.id", "data.a b", "data[a]", "headers.x-user[", "data | x"]
)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="not a path"):
        parse_path(path)


def test_paths_in_their_parts():
    assert parse_path("data.a-b[0]['c.d'].e") == ("data", "a-b", "0", "c.d", "e")
    assert parse_path('headers["X-User"]') == ("headers", "x-user")
