"""The strict reader of JSON: what it gives can be kept and written again, what it refuses has a name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.depth import without_strings
from relay.schemes import document
from relay.schemes.document import Unreadable, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), inner, max_size=4
        )
    ),
    max_leaves=20,
)
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            b"{",
            b"}",
            b"[",
            b"]",
            b'"',
            b":",
            b",",
            b"1e999",
            b"-",
            b"NaN",
            b"\\u0000",
            b"\\ud800",
            b"\\",
            b"\xff",
            b"\0",
            b"a",
        ]
    ),
    max_size=40,
).map(b"".join)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"not json", "json"),
        (b"{", "json"),
        (b"{} {}", "json"),
        (b"{'a': 1}", "json"),
        (b'{"a": 1,}', "json"),
        (b'{"\n": "\n}', "json"),
        (b'{"a":\x001}', "json"),
        (b"\xff\xfe{", "json"),
        (b"NaN", "number"),
        (b'{"a": -Infinity}', "number"),
        (b'{"a": 1e999}', "number"),
        (b"-1e999", "number"),
        (b"1" * 4_301, "number"),
        (b'{"a": 1, "a": 1}', "duplicate_key"),
        (rb'{"b": {"a": 1, "\u0061": 2}}', "duplicate_key"),
        (b"[" * 10_000 + b"]" * 10_000, "depth"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "depth"),
        (b"[" * 10_000, "depth"),
        (b"[" * 201 + b"]" * 201, "depth"),
        (b"[" * 5_000 + b"]" * 5_000, "depth"),
        (b'["]",{"\\"}":' * 2_500 + b"1" + b"}]" * 2_500, "depth"),
    ],
)
def test_what_is_refused_has_a_name(body, reason):
    with pytest.raises(Unreadable) as caught:
        parse(body)
    assert caught.value.reason == reason
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf{}", {}),
        (b"null", None),
        (b"1" * 400, int("1" * 400)),
        (b"1" * 4_300, int("1" * 4_300)),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\u0000 \\ud800"', "\\u0000 \\ud800"),
        (b'{"a": 1.5, "b": 1e3, "c": -0.0}', {"a": 1.5, "b": 1000.0, "c": -0.0}),
        (b'{"a": "one\ntwo\t\x1f", "b": [1]}', {"a": "one\ntwo\t\x1f", "b": [1]}),
        (b'"\x00"', "\ufffd"),
        (b'["\n",' + b"[]," * 10_001 + b"1]", ["\n", *[[]] * 10_001, 1]),
        (b"[" * 200 + b"]" * 200, json.loads("[" * 200 + "]" * 200)),
        (("[" + ",".join(["[[]]"] * 500) + "]").encode(), [[[]]] * 500),
    ],
)
def test_what_is_unusual_but_sound_is_read(body, value):
    assert parse(body) == value


def test_the_charset_that_is_named_counts():
    assert parse('"é"'.encode("latin-1"), "ISO-8859-1") == "é"
    assert parse('"é"'.encode("utf-16"), "utf-16") == "é"
    for charset in ("rot13", "zip", "idna", "no-such"):
        with pytest.raises(Unreadable) as caught:
            parse(b'"x"', charset)
        assert caught.value.reason == "charset"


@given(st.binary(max_size=300) | FRAGMENTS, st.sampled_from(["utf-8", "latin-1", "utf-16", "us-ascii"]))
def test_no_bytes_raise_anything_but_unreadable(body, charset):
    try:
        value = parse(body, charset)
    except Unreadable as error:
        str(error).encode()
    else:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        assert "\0" not in text
        text.encode()


@given(VALUES)
def test_every_json_value_is_read_as_the_standard_library_reads_it(value):
    body = json.dumps(value).encode()
    assert parse(body) == json.loads(body)


AROUND = st.text(" \t\n\r\x0b\N{NO-BREAK SPACE}x],", max_size=3)


@given(VALUES, AROUND, AROUND)
def test_around_a_value_stands_white_space_and_nothing_else(value, before, behind):
    text = before + json.dumps(value) + behind
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(Unreadable):
            parse(text.encode())
    else:
        assert parse(text.encode()) == wanted


def test_a_body_has_no_more_values_than_any_senders():
    """One to eight bytes, or 50,000; those in strings are none."""
    for dense in (b"[" + b"1," * 200_000 + b"1]", b"[" + b"[]," * 60_000 + b"1]", b"[" * 100_000):
        with pytest.raises(Unreadable) as caught:
            parse(dense)
        assert caught.value.reason == "values"
    assert len(parse(b"[" + b"1," * 49_000 + b"1]")) == 49_001
    assert len(parse(b"[" + b'"a name",' * 100_000 + b"1]")) == 100_001
    told = '1,2;[3],"x",' * 100_000
    assert parse(json.dumps({"table": told}).encode()) == {"table": told}


@given(
    st.recursive(
        st.none() | st.integers() | st.text('[,]{"\\\\é', max_size=4),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('[,]{"\\\\', max_size=3), inner),
    )
)
def test_values_are_never_counted_too_low(value):
    text = json.dumps(value)
    assert document._values(without_strings(text)) >= count(value)


def count(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(count(one) for one in inner)


def test_many_lists_are_read_by_the_decoder_that_lets_others_go_on():
    """To the same tree, and with the same faults."""
    text = json.dumps([[[1.5, "é\\u0041", {"a": [True, None]}]] * 5_000])
    assert text.count("[") > document._UNBROKEN
    assert parse(text.encode()) == json.loads(text)
    for broken, reason in (('{"a":1,"a":2}', "duplicate_key"), ("NaN", "number"), ("1e999", "number"), ("x", "json")):
        with pytest.raises(Unreadable) as caught:
            parse(f"{text[:-1]},{broken}]".encode())
        assert caught.value.reason == reason
