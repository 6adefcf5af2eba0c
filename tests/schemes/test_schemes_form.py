"""Form bodies, urlencoded and in parts, to the tree that rules see."""

import pytest

from relay.schemes.document import Unreadable
from relay.schemes.form import fields, pairs, parts, unfold
from relay.schemes.reading import read


def part(text, name="a", *more):
    """One part of a multipart body, with the edge `e`."""
    lines = [f'Content-Disposition: form-data; name="{name}"{"".join(f"; {one}" for one in more)}', "", ""]
    return b"--e\r\n" + "\r\n".join(lines).encode() + (text if isinstance(text, bytes) else text.encode()) + b"\r\n"


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (b"", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=", {"a": ""}),
        (b"a", {"a": ""}),
        (b"=1", {"": "1"}),
        (b"&&a=1&", {"a": "1"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=1+2%2B3", {"a": "1 2+3"}),
        (b"%C3%BC=%F0%9F%98%80", {"ü": "😀"}),
        ("ü=é".encode(), {"ü": "é"}),
        (b"a=%", {"a": "%"}),
        (b"a=%zz%2", {"a": "%zz%2"}),
        (b"a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        (b"a[]=1", {"a": ["1"]}),
        (b"a[]=1&a[]=2", {"a": ["1", "2"]}),
        (b"a=1&a[]=2", {"a": ["1", "2"]}),
        (b"a[b]=1&a[c]=2", {"a": {"b": "1", "c": "2"}}),
        (b"a%5Bb%5D=1", {"a": {"b": "1"}}),
        (b"a[b][c][d]=1", {"a": {"b": {"c": {"d": "1"}}}}),
        (b"a[b][]=1&a[b][]=2", {"a": {"b": ["1", "2"]}}),
        (b"a[0][b]=1&a[1][b]=2", {"a": {"0": {"b": "1"}, "1": {"b": "2"}}}),
        (b"a[b]=1&a[b]=2", {"a": {"b": ["1", "2"]}}),
        (b"a[b=1", {"a[b": "1"}),
        (b"a]b=1", {"a]b": "1"}),
        (b"[a]=1", {"[a]": "1"}),
        (b"a[b]c=1", {"a[b]c": "1"}),
        (b"a[[b]]=1", {"a[[b]]": "1"}),
        (b"a.b=1", {"a.b": "1"}),
        (b"__proto__[x]=1&items=2", {"__proto__": {"x": "1"}, "items": "2"}),
    ],
)
def test_bracketed_names_nest_and_repeated_ones_are_lists(body, tree):
    assert fields(body) == tree


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"a=1&a[b]=2", "form"),
        (b"a[b]=1&a=2", "form"),
        (b"a[]=1&a[b]=2", "form"),
        (b"a[b]=1&a[]=2", "form"),
        (b"a[b][c]=1&a[b]=2", "form"),
        (b"&".join(b"a=%d" % at for at in range(2_001)), "form"),
        (b"a" + b"[b]" * 21 + b"=1", "depth"),
    ],
)
def test_what_cannot_be_kept_or_means_two_things_is_unreadable(body, reason):
    with pytest.raises(Unreadable) as caught:
        fields(body)
    assert caught.value.reason == reason


def test_the_limits_themselves_are_read():
    assert len(fields(b"&".join(b"a%d=" % at for at in range(2_000)))) == 2_000
    assert fields(b"a" + b"[b]" * 20 + b"=1")["a"]["b"]["b"]


def test_fields_keep_their_order_and_their_twins():
    assert pairs(b"b=1&a=2&b=1&c") == [("b", "1"), ("a", "2"), ("b", "1"), ("c", "")]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=x%00y&b=ok", "application/x-www-form-urlencoded"),
        (b"a=x%FFy&b=ok", "application/x-www-form-urlencoded"),
        (b"a=x\0y&b=ok", "application/x-www-form-urlencoded"),
        (part("x\0y") + part("ok", "b") + b"--e--\r\n", "multipart/form-data; boundary=e"),
        (part(b"x\xffy") + part("ok", "b") + b"--e--\r\n", "multipart/form-data; boundary=e"),
        (rb'{"a": "x\u0000y", "b": "ok"}', "application/json"),
        (rb'{"a": "x\ud83dy", "b": "ok"}', "application/json"),
        (b'{"a": "x\xffy", "b": "ok"}', "application/json"),
        (b"<r><a>x&#0;y</a><b>ok</b></r>", "application/xml"),
        (b"<r><a>x\0y</a><b>ok</b></r>", "application/xml"),
        (b"<r><a>x&#xD83D;y</a><b>ok</b></r>", "application/xml"),
        (b"<r><a>x\xffy</a><b>ok</b></r>", "application/xml"),
    ],
)
def test_a_character_that_no_database_holds_is_marked_and_costs_nothing_else(body, content_type):
    reading = read(body, content_type, None, most=1 << 20, lists=frozenset())
    data = reading.data.get("r", reading.data)
    assert data == {"a": "x\ufffdy", "b": "ok"}
    assert reading.raw == body, "the bytes stay as they came"
    assert not reading.verbatim


def test_keys_stay_apart_when_they_are_mended():
    body = rb'{"a\u0000": 1, "a\ud800": 2, "a\ufffd": 3}'
    found = read(body, "application/json", None, most=1 << 20, lists=frozenset()).data
    assert sorted(found.values()) == [1, 2, 3]
    assert found["a\ufffd"] == 3


def test_json_inside_a_field_is_unfolded_where_it_is_there():
    data = {"payload": '{"a": [1]}', "other": "{}", "twice": ["1", "2"]}
    assert unfold(data, ["payload", "gone", "twice"]) == data | {"payload": {"a": [1]}}
    assert unfold([1], ["payload"]) == [1]


@pytest.mark.parametrize(("text", "reason"), [("", "empty"), ("{", "json"), ('{"a":1,"a":2}', "duplicate_key")])
def test_json_inside_a_field_is_read_as_strictly_as_a_body(text, reason):
    with pytest.raises(Unreadable) as caught:
        unfold({"payload": text}, ["payload"])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (part("1") + b"--e--\r\n", {"a": "1"}),
        (part("1") + part("2") + b"--e--", {"a": ["1", "2"]}),
        (part("1", "a[b]") + part("2", "a[c]") + b"--e--\r\n", {"a": {"b": "1", "c": "2"}}),
        (part("ü\r\nx") + b"--e--\r\n", {"a": "ü\r\nx"}),
        (part("") + b"--e--\r\n", {"a": ""}),
        (
            part(b"\x00\xff", "a", 'filename="x.png"') + b"--e--\r\n",
            {"a": {"filename": "x.png", "contentType": "application/octet-stream", "size": 2}},
        ),
    ],
)
def test_parts_are_read_as_fields_and_of_files_what_they_are_called(body, tree):
    assert parts(body, "e") == tree


@pytest.mark.parametrize(
    ("body", "charset", "reason"),
    [
        (b"", "utf-8", "multipart"),
        (b"a=1", "utf-8", "multipart"),
        (part("1"), "utf-8", "multipart"),
        (b"--e\r\n\r\n1\r\n--e--\r\n", "utf-8", "multipart"),
        (part("1") + b"--e--\r\n", "rot13", "multipart"),
        (part("1") + b"--e--\r\n", "no-such", "multipart"),
        (part("+2AA-") + b"--e--\r\n", "utf-7", "multipart"),
        (part(r"\ud800") + b"--e--\r\n", "unicode_escape", "multipart"),
        (part("1", "a") + part("2", "a[b]") + b"--e--\r\n", "utf-8", "form"),
        (part("1") * 2_001 + b"--e--\r\n", "utf-8", "multipart"),
    ],
)
def test_what_is_wrong_with_parts_has_a_name(body, charset, reason):
    """A NUL and half a surrogate pair can be kept in no database, wherever they stand."""
    with pytest.raises(Unreadable) as caught:
        parts(body, "e", charset)
    assert caught.value.reason in {reason, "charset"}


def part_of(head, body):
    """A part with these bytes as its head."""
    return b"--e\r\n" + head + b"\r\n\r\n" + body + b"\r\n"


NAMED = b'Content-Disposition: form-data; name="a"'
BROKEN = {
    "a value": (part_of(NAMED, b"caf\xe9"), {"a": "caf\ufffd"}),
    "a value in a charset that is not known": (
        part_of(NAMED + b"\r\nContent-Type: text/plain; charset=klingon", "ü".encode()),
        {"a": "ü"},
    ),
    "a value that is not in the charset it names": (
        part_of(NAMED + b"\r\nContent-Type: text/plain; charset=utf-16", b"odd"),
        {"a": "odd"},
    ),
    "a value in a charset of its own": (
        part_of(NAMED + b'\r\nContent-Type: text/plain; charset="iso-8859-1"', b"caf\xe9"),
        {"a": "café"},
    ),
    "a name": (part_of(b'Content-Disposition: form-data; name="caf\xe9"', b"1"), {"caf\ufffd": "1"}),
    "a file's name": (
        part_of(NAMED + b'; filename="caf\xe9 \xc2\xa0.png"\r\nContent-Type: image/png', b"\xff"),
        {"a": {"filename": "caf\ufffd \xa0.png", "contentType": "image/png", "size": 1}},
    ),
    "a header that nobody reads": (part_of(NAMED + b"\r\nX-Note: \xff", b"1"), {"a": "1"}),
}


@pytest.mark.parametrize("where", BROKEN)
def test_bytes_that_are_not_utf_8_cost_only_the_place_where_they_are(where):
    broken, found = BROKEN[where]
    others = part("größer 😀", "b") + part("voilà", "è[à]")
    body = others + broken + part("ok", "last") + b"--e--\r\n"
    reading = read(body, "multipart/form-data; boundary=e", None, most=1 << 20, lists=frozenset())
    assert reading.data == {"b": "größer 😀", "è": {"à": "voilà"}, "last": "ok"} | found
    assert reading.raw == body
