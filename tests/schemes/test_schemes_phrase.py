"""The language of vendors' entries: every name, every filter, and what is no phrase."""

import base64
import hashlib
import hmac
import json
import zlib

import pytest

from relay.errors import Rejected
from relay.schemes import Headers, Request, phrase
from relay.schemes.filters import FILTERS
from relay.schemes.phrase import Scope, compose, dig, holds, place

BODY = b'{"id": 7, "zero": 0, "price": 1.5, "ok": true, "none": null, "text": "", "a": {"b-c": ["x", {"d": "y"}]}}'
HEADERS = [
    ("A-Id", "1"),
    ("X-Id", " e-1 "),
    ("X-Twice", "1"),
    ("X-Twice", "2"),
    ("X-Names", "a-id, x-names"),
    ("X-Others", "a-id,x-others,x-missing"),
    ("X-Itself-Not", "a-id"),
    ("X-Empty", ""),
]
URL = "https://us.example.com:8443/hooks/a%20b?q=1&q=2&empty=&u=%C3%BC"


def request(body=BODY, url=URL, content_type="application/json", headers=()):
    return Request("PUT", url, Headers([("Content-Type", content_type), *HEADERS, *headers]), body, 0)


def find(text, scope=None, **made):
    return place(text)(scope or Scope(request(**made)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("{{ body }}", BODY.decode()),
        ("{{body}}", BODY.decode()),
        ("{{ method }} {{ url }}", f"PUT {URL}"),
        ("{{ path }}", "/hooks/a%20b?q=1&q=2&empty=&u=%C3%BC"),
        ('{{ headers["x-id"] }}', "e-1"),
        ("{{ headers['X-ID'] }}", "e-1"),
        ('{{ headers["x-twice"] }}', None),
        ('{{ headers["x-gone"] }}', None),
        ('{{ headers["x-empty"] }}', None),
        ('{{ query["q"] }}', "1"),
        ('{{ query["u"] }}', "ü"),
        ('{{ query["empty"] }}', None),
        ('{{ query["gone"] }}', None),
        ("{{ data.id }}", "7"),
        ("{{ data.zero }}", "0"),
        ("{{ data.price }}", "1.5"),
        ("{{ data.ok }}", None),
        ("{{ data.none }}", None),
        ("{{ data.text }}", None),
        ("{{ data.a }}", None),
        ("{{ data.a.b-c.0 }}", "x"),
        ("{{ data.a.b-c.1.d }}", "y"),
        ("{{ data.a.b-c.2 }}", None),
        ("{{ data.a.b-c.-1 }}", None),
        ("{{ data.id.id }}", None),
        ("{{ envelope.id }}", "7"),
        ("{{ data.gone }}:{{ data.id }}", None),
        ("{{ data.gone? }}:{{ data.id? }}", ":7"),
        ("{{ data.gone? }}", None),
        ('{{ headers_named["x-names"] }}', "a-id:1;x-names:a-id, x-names"),
        ('{{ headers_named["x-names a-id"] }}', "a-id:1;x-names:a-id, x-names"),
        ('{{ headers_named["x-names x-time"] }}', None),
        ('{{ headers_named["x-others"] }}', None),
        ('{{ headers_named["x-itself-not"] }}', None),
        ('{{ headers_named["x-gone"] }}', None),
        ('{{ pairs["text gone?"] }}', "text\n\n"),
        ('{{ pairs["text gone"] }}', None),
        ('{{ pairs["text id?"] }}', None),
        ('{{ key["gone zero id"] }}', "zero"),
        ('{{ key["gone"] }}', None),
        ("{{ options.webhook_id }}", None),
    ],
)
def test_each_name_says_what_its_line_in_the_table_says(text, value):
    assert find(text) == value


def test_the_parts_of_a_batch_are_told_apart():
    scope = Scope(request(), item={"id": "of the item"}, whole=False, options={"webhook_id": "w-1"}, timestamp="17")
    assert find("{{ data.id }}/{{ envelope.id }}/{{ options.webhook_id }}/{{ timestamp }}", scope) == (
        "of the item/7/w-1/17"
    )
    assert find("{{ data.id }}", Scope(request(), item=None, whole=False)) is None


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'[{"a": "]},{"} , {"b": 2}]', b'{"a": "]},{"}'),
        (b' [ \n{"a":1}]', b'{"a":1}'),
        (b'["\xc3\xbc", 2]', b'"\xc3\xbc"'),
        (b"[[1, 2], 3]", b"[1, 2]"),
        (b'{"a": 1}', b'{"a": 1}'),
        (b"", b""),
        (b"[]", None),
        (b"[", None),
        (b"[" * 100_000, None),
        (b"[" * 5_000 + b"]" * 5_000, None),
    ],
)
def test_the_first_item_is_its_own_bytes(body, value):
    scope = Scope(request(body), options={"batch": "true"})
    if value is None:
        with pytest.raises(Rejected) as caught:
            compose("{{ first }}")(scope)
        assert (caught.value.status, caught.value.reason) == (401, "signed_part_missing")
    else:
        assert compose("{{ first }}")(scope) == value


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b"b=2&a=1&b=1", "application/x-www-form-urlencoded", b"a1b1b2"),
        (b"b=2&b=2&a=%C3%BC+x", "application/x-www-form-urlencoded; charset=UTF-8", "aü xb2".encode()),
        (b"a=&b", "application/x-www-form-urlencoded", b"ab"),
        (b"", "application/x-www-form-urlencoded", b""),
        (b"", "application/json", b""),
        (b"{}", "application/json", None),
        (b"a=%FF", "application/x-www-form-urlencoded", b"a\xff"),
    ],
)
def test_the_parameters_of_a_form_are_sorted_and_run_together(body, content_type, value):
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security: name and value, each twin once."""
    scope = Scope(request(body, content_type=content_type))
    if value is None:
        with pytest.raises(Rejected, match="params is missing"):
            compose("{{ params }}")(scope)
    else:
        assert compose("{{ params }}")(scope) == value


def test_pairs_are_the_texts_that_are_there_in_the_order_of_the_phrase():
    """https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html"""
    body = json.dumps({"Type": "N", "Message": "a\nb", "Subject": None, "Count": 5}).encode()
    assert find('{{ pairs["Message* Subject? Gone? Type"] }}', body=body) == "Message\na\nb\nType\nN\n"
    assert find('{{ pairs["Message Type"] }}', body=body) is None, "only with a star has it line breaks"
    assert find('{{ pairs["Message* Subject Type"] }}', body=body) is None, (
        "only with a question mark may it be missing"
    )
    assert find('{{ pairs["Message* Count? Type"] }}', body=body) is None, "a number would not be signed"
    assert find('{{ pairs["Message"] }}', body=b"[]") is None
    assert find('{{ pairs["Message"] }}', body=b"no json") is None


VALUE = "Grüße/%3a%2F%2f%20%3Fx%26"
FILTERED = {
    "sha256": hashlib.sha256(VALUE.encode()).hexdigest(),
    "crc32": str(zlib.crc32(VALUE.encode())),
    "lower": VALUE.encode().lower().decode(),
    "hubspot": "Grüße/://%20?x%26",
    "uri": "Gr%C3%BC%C3%9Fe/%3a%2F%2f%20%3Fx%26",
    "hmac_hex": hmac.digest(b"key", VALUE.encode(), "sha256").hex(),
    "hmac_base64": base64.b64encode(hmac.digest(b"key", VALUE.encode(), "sha256")).decode(),
    "id15": VALUE.encode()[:15].decode(),
}


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_each_filter_gives_what_its_line_says(name):
    scope = Scope(request(), key=b"key", options={"x": VALUE})
    assert find(f"{{{{ options.x | {name} }}}}", scope) == FILTERED[name]
    assert find(f"{{{{ options.gone | {name} }}}}", scope) is None


def test_filters_go_one_after_the_other():
    body = b"ABC"
    assert find("{{ body | lower | sha256 }}", body=body) == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ bodi }}", "none of body"),
        ("{{ data }}", "none of body"),
        ("{{ data. }}", "none of body"),
        ("{{ data.a b }}", "none of body"),
        ("{{ data.*.id }}", "none of body"),
        ("{{ data['a'] }}", "none of body"),
        ("{{ items.a }}", "none of body"),
        ("{{ }}", "none of body"),
        ("{{ headers }}", "none of body"),
        ("{{ headers[x-id] }}", "none of body"),
        ("{{ headers[\"x-id'] }}", "none of body"),
        ('{{ headers["x id"] }}', "not the name of a header"),
        ('{{ headers["x:id"] }}', "not the name of a header"),
        ("{{ body | upper }}", "filter 'upper'"),
        ("{{ body | }}", "filter ''"),
        ("{{ body | sha256() }}", "filter"),
        ("{{ body }", "open or close nothing"),
        ("{ body }}", "open or close nothing"),
        ("{{ body }} }}", "open or close nothing"),
        ("{{ {{ body }} }}", "none of body|open or close"),
        ("{% if body %}x{% endif %}", "open or close nothing"),
        ("{# a #}", "open or close nothing"),
    ],
)
@pytest.mark.parametrize("compiled", [compose, place])
def test_what_is_no_phrase_is_refused_at_once(compiled, text, said):
    with pytest.raises(ValueError, match=said):
        compiled(text)


def test_a_signed_part_that_is_missing_is_named_and_refused():
    with pytest.raises(Rejected) as caught:
        compose('{{ headers["x-gone"] }}.{{ body }}')(Scope(request()))
    assert (caught.value.status, caught.value.reason) == (401, "signed_part_missing")
    assert 'headers["x-gone"]' in str(caught.value)
    assert compose('{{ headers["x-gone"]? }}.{{ data.id }}')(Scope(request())) == b".7"


def test_a_field_of_bytes_that_are_no_text_keeps_them():
    """Signatures are over bytes; servers hand over headers with surrogates in place of them."""
    scope = Scope(request(headers=[("X-Raw", "\udcff\udcfe")]))
    assert compose('{{ headers["x-raw"] }}')(scope) == b"\xff\xfe"
    assert find('{{ headers["x-raw"] }}', scope) == "\udcff\udcfe"


@pytest.mark.parametrize(
    ("wanted", "true"),
    [("7", True), ("5|7", True), ("*", True), ("!", False), ("77", False), ("", False), ("5|", False)],
)
def test_a_condition_is_a_value_several_any_or_none(wanted, true):
    assert holds(place("{{ data.id }}"), wanted, request(), {}) is true


@pytest.mark.parametrize(("wanted", "true"), [("*", False), ("!", True), ("7", False), ("None", False)])
def test_a_condition_on_what_is_not_there(wanted, true):
    assert holds(place("{{ data.gone }}"), wanted, request(), {}) is true


@pytest.mark.parametrize(
    "name", ["data", "data.", "envelope.a", "a.b", "data.a b", "data..a", "data.a.**", "{{ data.a }}"]
)
def test_what_is_no_path_is_refused(name):
    with pytest.raises(ValueError, match="not a path"):
        phrase.path_of(name)


def test_paths_go_through_objects_and_lists_and_never_through_attributes():
    assert phrase.path_of("data.value.*.client-State") == ["value", "*", "client-State"]
    assert dig({"items": {"keys": 1}}, ["items", "keys"]) == 1
    assert dig({"a": "text"}, ["a", "upper"]) is None
    assert dig([{"a": 1}], ["0", "a"]) == 1
    assert dig({"0": "key"}, ["0"]) == "key"
    assert dig(None, ["a"]) is None
