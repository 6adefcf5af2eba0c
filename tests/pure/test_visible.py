"""What a stranger sent is shown, never obeyed."""

import json
from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st

from relay.visible import visible, visible_json, visible_styled

HOSTILE = st.text(st.characters() | st.sampled_from("\x1b\x9b\x7f\x85\u202e\u2066\u200b\u2028\ud800\U000e0001"))


def unsafe(text, keep="\n\t"):
    return [char for char in text if char not in keep and category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


@given(HOSTILE)
def test_no_control_is_left(text):
    assert not unsafe(visible(text))
    assert not unsafe(visible(text, keep=""), keep="")
    assert len(visible(text, keep="").splitlines()) <= 1


@given(HOSTILE)
def test_json_holds_the_same_value_and_no_control(text):
    shown = visible_json(json.dumps({"a": text, text: [text]}, ensure_ascii=False, indent=1))
    assert json.loads(shown) == json.loads(json.dumps({"a": text, text: [text]}))
    assert not unsafe(shown)


def test_letters_of_all_scripts_and_spaces_of_all_widths_stay():
    text = "Zażółć gęślą 你好\u3000日本 кошка مرحبا 10\u00a0000\u202f€ 🐢"
    assert visible(text) == visible_json(text) == text


def test_escapes_are_those_that_people_know():
    assert visible("\x1b[2J\x9b\x7f\u202e\ud800\U000e0001") == r"\x1b[2J\x9b\x7f\u202e\ud800\U000e0001"
    assert visible("a\r\n\tb", keep="") == r"a\r\n\tb"
    assert visible_json('"\U000e0001\x7f"') == r'"\udb40\udc01\u007f"'


def test_only_colours_and_weights_pass_where_relay_itself_sets_them():
    assert visible_styled("\x1b[1;31mred\x1b[0m\x1b[2J\x1b]0;x\x07") == "\x1b[1;31mred\x1b[0m\\x1b[2J\\x1b]0;x\\x07"
