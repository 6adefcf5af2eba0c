"""Whatever comes, nothing but a refusal comes of it; and what was written is read as it was."""

import contextlib
import gzip
import json
import string
import zlib
from dataclasses import replace
from functools import cache
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import Rejected
from relay.schemes import NeedsCertificate, vendor
from relay.schemes.document import Unreadable, require_shallow
from relay.schemes.form import fields, unfold
from relay.schemes.reading import read
from relay.schemes.xml import parse
from tests.schemes.cases import SCHEMES, WAYS, way
from tests.schemes.spots import Spot, of_time

TYPES = [
    "", "text/plain", "application/json", "application/json; charset=utf-16", "application/x-ndjson",
    "application/cloudevents+json", "application/cloudevents-batch+json", "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=latin-1", "multipart/form-data; boundary=e",
    "multipart/form-data; boundary=e; charset=utf-7", "multipart/form-data; boundary=e; charset=unicode_escape",
    "application/xml", "text/xml; charset=latin-1", "application/soap+xml", "text/html", "\udcff", "a" * 300,
]  # fmt: skip
WORDS = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"1e999", b"NaN", b"\\u0000", b"\\ud800", b"\xff", b"\0", b"a", b"&",
    b"=", b"%", b"%00", b"%FF", b"%ED%A0%80", b"a[b]", b"[]", b"a[", b"]]", b"+", b";", b"--e", b"--e--", b"\r\n",
    b'Content-Disposition: form-data; name="a"', b'--e\r\nContent-Disposition: form-data; name="a"\r\n\r\n',
    b'; filename="\0"', b"Content-Type: text/plain; charset=zip", b"<a>", b"</a>", b"<x:a ", b"xmlns:x='u'",
    b"<!DOCTYPE a [", b"<!ENTITY x 'y'>", b"]>", b"&x;", b"&#0;", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"+2AA-",
    b"<?xml version='1.0' encoding='utf-16'?>", b"\xef\xbb\xbf",
)  # fmt: skip
BODIES = st.binary(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join)
ENCODED = st.one_of(
    st.tuples(BODIES, st.sampled_from([None, "", "identity", "gzip", "deflate", "br", "\udcff"])),
    st.tuples(BODIES.map(gzip.compress), st.just("gzip")),
    st.tuples(BODIES.map(zlib.compress), st.just("deflate")),
)


def texts(value):
    """Every text in a tree, keys too."""
    if isinstance(value, str):
        return [value]
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in texts(one)]


def stored(value):
    """What a database can hold: no NUL, no half of a surrogate pair, no endless number, and not too deep."""
    require_shallow(value)
    json.dumps(value, allow_nan=False)
    for text in texts(value):
        assert "\0" not in text
        text.encode()


@settings(max_examples=400, deadline=None)
@given(ENCODED, st.sampled_from(TYPES), st.sampled_from([frozenset(), frozenset({"a"})]))
def test_no_bytes_are_read_to_anything_but_a_tree_that_can_be_kept(encoded, content_type, lists):
    body, encoding = encoded
    try:
        reading = read(body, content_type, encoding, most=1_000, lists=lists)
    except (Unreadable, Rejected) as error:
        str(error).encode("utf-8", "surrogateescape")
    else:
        stored(reading.data)
        assert len(reading.raw) <= max(1_000, len(body))


PLAIN = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(PLAIN, PLAIN | st.sampled_from(["{", "[]", '"\\u0000"', '"\\ud800"', "[" * 5_000])))
def test_no_json_inside_a_form_is_anything_but_unreadable(data):
    with contextlib.suppress(Unreadable):
        stored({name: value for name, value in unfold(data, list(data)).items() if value != data[name]})


KEYS = st.text(st.characters(exclude_characters="\0[]", exclude_categories=("Cs",)), min_size=1, max_size=6)
TREES = st.recursive(
    PLAIN | st.lists(PLAIN, min_size=2, max_size=3),
    lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3),
    max_leaves=8,
)


def written(tree, name=""):
    """The fields of a form, with bracketed names, whose tree this is."""
    if isinstance(tree, dict):
        return [one for key, value in tree.items() for one in written(value, f"{name}[{key}]" if name else key)]
    return [(f"{name}[]", value) for value in tree] if isinstance(tree, list) else [(name, tree)]


@settings(deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=3))
def test_a_form_is_read_as_it_was_written(tree):
    assert fields(urlencode(written(tree)).encode()) == tree


TAGS = st.text(string.ascii_letters, min_size=1, max_size=4)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=8).map(str.strip)
ELEMENTS = st.recursive(
    TEXTS.map(lambda text: text or None),
    lambda inner: st.dictionaries(TAGS, inner | st.lists(inner, min_size=2, max_size=3), min_size=1, max_size=3),
    max_leaves=8,
)


def marked(tag, value, prefix, attributes):
    """An element, with a namespace prefix or none, and as many attributes as are given."""
    if isinstance(value, list):
        return "".join(marked(tag, one, prefix, attributes) for one in value)
    inner = (
        "".join(marked(key, one, prefix, {}) for key, one in value.items())
        if isinstance(value, dict)
        else escape(value or "")
    )
    told = "".join(f" {prefix}{key}={quoteattr(one)}" for key, one in attributes.items())
    space = f" xmlns:{prefix[:-1]}='urn:x'" if prefix else ""
    return f"<{prefix}{tag}{space}{told}>{inner}</{prefix}{tag}>"


@settings(deadline=None)
@given(TAGS, ELEMENTS, st.sampled_from(["", "x:", "soapenv:"]))
def test_xml_is_read_as_it_was_written_whatever_the_prefix(tag, tree, prefix):
    assert parse(marked(tag, tree, prefix, {}).encode(), "utf-8", frozenset()) == {tag: tree}


@settings(deadline=None)
@given(TAGS, st.dictionaries(TAGS, TEXTS, min_size=1, max_size=3), st.sampled_from(["", "x:"]))
def test_attributes_are_read_as_they_were_written(tag, attributes, prefix):
    text = marked(tag, "text", prefix, attributes)
    expected = {f"@{name}": value for name, value in attributes.items()} | {"#text": "text"}
    assert parse(text.encode(), "utf-8", frozenset()) == {tag: expected}


ODD = st.one_of(
    st.text(max_size=60),
    st.text(st.sampled_from("=,;. :v1t0aBearsic{}\"'\udcff\0٣"), max_size=60),
    st.sampled_from(["e30.e30.e30", "v1=" * 50, "t=1,v1=x", "Basic =", "Bearer .", "9" * 400, "1e400", "x" * 5_000]),
)
ODD_URLS = (
    "", "/", "//", "https://[", "https://[::1]:x/", "https://us:99999/a", "https://us/?token=%FF", "https://us/?=&&",
    "https://us/?" + "a=1&" * 150, "https://us/?" + "token=1&" * 200, "https://us/hooks/a?bodySHA256=\udcff", "\udcff",
    "https://us\n/a", "https://us:443:443/", "https://user@[::1/a",
)  # fmt: skip
URLS = st.text(max_size=40) | st.sampled_from(ODD_URLS)
KEYS_OF_VENDORS = (
    "data", "event", "id", "type", "value", "events", "entry", "changes", "signature", "token", "notificationItems",
    "NotificationRequestItem", "challenge", "SigningCertURL", "SubscribeURL", "Type", "payload", "clientState",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | PLAIN | URLS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS_OF_VENDORS) | PLAIN, inner, max_size=4)
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
NAMES = ("proof", "time", "content-type", "content-encoding", "x-id", "paypal-cert-url", "x-contentful-signed-headers")


def bend(name, url, body, method, headers):
    """The vendor's signed request with some of it in other words; `proof` and `time` are where that vendor has them."""
    known = way(name)
    request = signed(name)
    stamp = of_time(known.form) if hasattr(known.form, "timestamp") else None
    for where, text in headers.items():
        spot = {"proof": known.spot, "time": stamp}.get(where, Spot("header", where))
        if spot is not None and spot.where == "header":
            request = spot.write(request, text)
    return replace(
        request,
        url=request.url if url is None else url,
        body=request.body if body is None else body,
        method=method,
        lists=vendor(known.scheme).lists,
    )


@cache
def signed(name):
    return way(name).sign()


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(WAYS),
    st.none() | URLS,
    st.none() | BODIES | JSON,
    st.sampled_from(["POST", "GET", "PUT"]),
    st.dictionaries(st.sampled_from(NAMES), ODD, max_size=3),
)
def test_no_request_raises_anything_but_a_refusal(name, url, body, method, headers):
    request, scheme = bend(name, url, body, method, headers), way(name).make()
    for proved in (False, True):
        with contextlib.suppress(Rejected):
            scheme.greet(request, proved=proved)
    with contextlib.suppress(Rejected, NeedsCertificate):
        scheme.verify(request)
    scheme.reply(request)
    try:
        items = scheme.items(scheme.clean(scheme.read(request).data)[0])
    except (Unreadable, Rejected, ValueError):
        return
    for item in items:
        scheme.identify(request, item)


@pytest.mark.parametrize("name", WAYS)
def test_no_address_raises_anything_but_a_refusal(name):
    """A stranger chooses the Host header and the query."""
    for url in ODD_URLS:
        request, scheme = bend(name, url, None, signed(name).method, {}), way(name).make()
        with contextlib.suppress(Rejected):
            scheme.greet(request, proved=False)
        with contextlib.suppress(Rejected, NeedsCertificate):
            scheme.verify(request)


def test_the_requests_are_tried_on_every_scheme():
    assert {way(name).scheme for name in WAYS} | {"none"} == set(SCHEMES)
