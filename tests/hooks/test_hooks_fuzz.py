"""Whatever comes, to a source of whatever mechanism: an answer that is no 500, and no more memory than is allowed."""

import asyncio
import json
import tracemalloc
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from relay.errors import Rejected
from relay.hooks import decode
from relay.model import Event
from relay.schemes import Headers, Request
from relay.units import iso
from tests.hooks import vendors
from tests.hooks.listener import HOOKS, NOW, gzipped, listen
from tests.hooks.vendors import hook
from tests.schemes import cases
from tests.schemes.cases import sample

MECHANISMS = {
    "nothing": HOOKS["open"],
    "a header's token": HOOKS["token"],
    "basic": HOOKS["login"],
    "a signed URL": HOOKS["url"],
    "templates": HOOKS["strict"],
    "not learned yet": hook("asana", secrets=()),
    **{
        name: hook(name)
        for name in (
            "adyen-standard",
            "aws-sns",
            "cloudevents",
            "contentful",
            "discord",
            "dropbox",
            "github",
            "gong",
            "hubspot",
            "linear",
            "mailchimp",
            "mailchimp-transactional",
            "mailgun",
            "meta",
            "monday",
            "ms-graph",
            "notion",
            "paypal",
            "recurly",
            "salesforce",
            "segment",
            "sendgrid",
            "slack",
            "square",
            "standard-webhooks",
            "twilio",
            "vonage-jwt",
            "websub-sha256",
            "woocommerce",
            "zoho",
        )
    },
}
"""A source of each mechanism."""

SOURCES = {f"s-{number}": made for number, made in enumerate(MECHANISMS.values())}
NAMES = dict(zip(MECHANISMS, SOURCES, strict=True))

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "data", "events", "type", "token", "value"]) | st.text(max_size=5), inner
        )
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())


def soup(*pieces):
    """Bodies that are almost of a kind: its pieces and anything else, in any order."""
    return st.lists(st.sampled_from(pieces) | st.binary(max_size=6), max_size=12).map(b"".join)


FORMS = soup(
    b"a=1", b"&", b"a[b]=", b"a[]=", b"%00", b"%ff", b"%F0%9F%98%80", b"[", b"]", b"mandrill_events=", b"payload={}"
)
XMLS = soup(
    b"<a>", b"</a>", b"<b:c/>", b"<!DOCTYPE a [<!ENTITY e 'x'>]>", b"&e;", b"&#0;", b"&#xD800;", b"<![CDATA[", b"]]>",
    b' x="1"', b"<?xml version='1.0' encoding='utf-16'?>", b"<Notification>", b"t",
)  # fmt: skip
PARTS = soup(
    b"--x\r\n", b"--x--\r\n", b"\r\n\r\n", b"\r\n", b'Content-Disposition: form-data; name="a"',
    b'Content-Disposition: form-data; name="f"; filename="g"', b'; filename="\x00"', b"\\ud800", b"\\x00", b"v",
    b"Content-Type: multipart/mixed; boundary=y",
)  # fmt: skip
SAMPLES = st.sampled_from(vendors.NAMES).map(lambda name: cases.body_of(sample(name)))
MENDED = st.builds(
    lambda body, at, by: body[: at % len(body)] + by + body[at % len(body) :],
    SAMPLES, st.integers(0, 4_000), st.binary(max_size=4),
)  # fmt: skip
BODIES = st.one_of(st.binary(max_size=60), JSONS, FORMS, XMLS, PARTS, SAMPLES, MENDED)
PACKED = BODIES | BODIES.map(gzipped) | BODIES.map(zlib.compress)

KINDS = st.builds(
    lambda kind, more: kind + more,
    st.sampled_from(
        [
            b"application/json",
            b"",
            b"text/plain",
            b"application/x-www-form-urlencoded",
            b"multipart/form-data; boundary=x",
            b"multipart/form-data",
            b"text/xml",
            b"application/soap+xml",
            b"application/cloudevents+json",
            b"application/cloudevents-batch+json",
            b"application/x-ndjson",
            b"image/png",
        ]
    ),
    st.sampled_from(
        [b""] * 3
        + [b"; charset=" + one for one in (b"utf-16", b"latin-1", b"unicode_escape", b"idna", b"rot13", b'"', b"\xff")]
    ),
)
WORDS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"sha256=" + b"0" * 64,
            b"0" * 64,
            b"v1=,t=1",
            b"t=1,v1=\xff",
            b"1700000000",
            b"1e400",
            b"Mon, 01 Jan 99999999999 00:00:00 GMT",
            b"9" * 5_000,
            b"Bearer a.b.c",
            b"Bearer \xff.\xff.\xff",
            b"Bearer " + b"W1tb" * 1_800 + b".e30.c2ln",
            b"Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            b"eyJhbGciOiJub25lIn0.e30.",
            b"Basic \xff",
            b"v1,AAAA",
            b"1.0",
            b"gzip",
            b"deflate",
            b"br",
            b"[::1",
            b"x-a,x-b,,\xff",
            b"2023-11-14T22:13:20Z",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ]
    ),
).map(lambda word: bytes(byte for byte in word if byte >= 32 and byte != 127))


def told_headers():
    """Every header that an entry looks at."""
    found = {"host", "content-encoding", "traceparent", "x-forwarded-host", "ce-specversion", "ce-id", "ce-source"}
    for made in MECHANISMS.values():
        found |= made.scheme.secret_headers | set(request_of_headers(made.spec.scheme))
    return sorted(name.encode() for name in found | {"ce-type", "ce-time", "authorization"})


def request_of_headers(scheme):
    """The headers of a sample and of its handshakes."""
    if scheme not in vendors.NAMES:
        return []
    told = sample(scheme)
    return [name.lower() for one in (told, *told.get("handshakes", ())) for name in one.get("headers", {})]


HEADERS = st.lists(st.tuples(st.sampled_from(told_headers()), WORDS), max_size=6)
QUERIES = st.sampled_from(
    [b""] * 4
    + [
        b"?" + b"a=1&" * 200,
        b"?token=%ff%00",
        b"?challenge=%ff%0d%0a%00",
        b"?validationToken=%ed%a0%80",
        b"?hub.mode=subscribe&hub.challenge=x&hub.verify_token=%ff&hub.topic=",
        b"?crc_token=%ff&nonce=%00",
        b"?bodySHA256=%ff",
        b"?" + b"%" * 50,
    ]
)


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def listener(loop):
    """One listener for all of it, in a loop that turns while a request is under way."""
    entered = listen(hooks=SOURCES)
    yield loop.run(entered.__aenter__())
    loop.run(entered.__aexit__(None, None, None))


async def speak(listener, method, target, headers, body):
    """The status of the raw answer to a request that is written byte by byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.url.rsplit(":", 1)[1]))
    lines = [b"%s %s HTTP/1.1" % (method, target), b"Connection: close", b"Content-Length: %d" % len(body)]
    if not any(name == b"host" for name, _ in headers):
        lines.append(b"Host: relay.example.com")
    lines += [name + b": " + value for name, value in headers]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(list(NAMES)),
    method=st.sampled_from([b"POST"] * 6 + [b"GET", b"HEAD", b"OPTIONS", b"PUT"]),
    query=QUERIES,
    kind=KINDS,
    headers=HEADERS,
    body=PACKED,
)
def test_no_request_of_a_stranger_is_a_fault_of_the_relays(loop, listener, name, method, query, kind, headers, body):
    # Larger heads are cut off before there is a request: the tests of bounds have them.
    assume(len(query) + sum(len(key) + len(value) + 4 for key, value in headers) < 30_000)
    ask(loop, listener, name, body=body, headers=[(b"content-type", kind), *headers], method=method, query=query)


def ask(loop, listener, name, *, body, headers, method=b"POST", query=b""):
    """The status, and the reason of a refusal; what comes of it can be kept.

    503 is only for what names an address that should be fetched, as nothing is here.
    """
    with capture_logs() as lines:
        status = loop.run(speak(listener, method, f"/hooks/{NAMES[name]}".encode() + query, headers, body))
    assert status in {200, 202, 204, 400, 401, 403, 405, 413, 415, 503}
    assert [line for line in lines if line["event"] == "request.failed"] == []
    for event in listener.intake.events:
        require_storable(event)
    listener.intake.deliveries.clear()
    listener.rejected.clear()
    return status, [line["reason"] for line in lines if line["event"] == "request.rejected"]


def require_storable(event):
    """Nothing in it that a database cannot hold or JSON cannot say."""
    told = [getattr(event, one.name) for one in fields(Event) if one.name not in {"raw", "digest", "repeat"}]
    json.dumps(told, ensure_ascii=False, allow_nan=False, default=dict).encode()
    assert not any("\0" in text for text in texts(told))
    assert event.time is None or iso(event.time)


def texts(value):
    """Every text in a tree, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from texts([*value, *value.values()])
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


JSON = (b"content-type", b"application/json")
CE = [(b"ce-specversion", b"1.0"), (b"ce-id", b"%00%ff"), (b"ce-source", b"/"), (b"ce-type", b"\xff")]
PARTED = b'--x\r\nContent-Disposition: form-data; name="a%s"%s\r\n\r\n\\ud800\r\n--x--\r\n'
FORGED = sample("aws-sns")["body"].replace('"Type"', '"Signature":"AAAA","Type"').encode()
HOSTILE = {
    "two hundred parameters": {"query": b"?" + b"a=1&" * 200},
    "a host that is none": {"headers": [JSON, (b"host", b"[")]},
    "a host with a path": {"headers": [JSON, (b"host", b"a/b?c=d#")]},
    "a token of bytes": {"headers": [JSON, (b"authorization", b"Bearer \xff.\xff.\xff")]},
    "a token that nests": {"headers": [JSON, (b"authorization", b"Bearer " + b"W1tb" * 1_800 + b".e30.c2ln")]},
    "a charset that makes surrogates": {
        "headers": [(b"content-type", b"multipart/form-data; boundary=x; charset=raw_unicode_escape")],
        "body": PARTED % (b"", b""),
    },
    "a file whose field has NUL": {
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
        "body": PARTED % (b"\0", b'; filename="g"'),
    },
    "the year 10000": {"headers": [JSON, *CE, (b"ce-time", b"9999-12-31T23:59:59-23:59")]},
    "the year 0": {"headers": [JSON, *CE, (b"ce-time", b"0001-01-01T00:00:00+23:59")]},
    "an address that is none": {"body": FORGED.replace(b"https://sns", b"https://[sns")},
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("method", [b"POST", b"GET", b"OPTIONS"])
def test_what_once_was_a_fault_is_none_at_any_source(loop, listener, what, method):
    told = {"headers": [JSON], "body": b"{}"} | HOSTILE[what]
    for name in NAMES:
        ask(loop, listener, name, method=method, **told)


SIGNERS = ["basic", "a header's token", "templates", "cloudevents", "discord", "github", "gong", "hubspot", "mailchimp",
           "meta", "monday", "nothing", "salesforce", "sendgrid", "slack", "standard-webhooks", "twilio"]  # fmt: skip
"""Sources whose proof stands beside the body: any can be signed."""


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(SIGNERS), kind=KINDS, encoding=st.sampled_from([b"", b"", b"gzip", b"deflate"]), body=PACKED
)
def test_whatever_a_sender_signs_is_kept_or_refused_with_a_reason(loop, listener, name, kind, encoding, body):
    """202 also where it cannot be read; 400 only for a bad item, where something is proved."""
    made = MECHANISMS[name]
    headers = [("content-type", kind.decode("utf-8", "surrogateescape")), ("content-encoding", encoding.decode())]
    request = Request("POST", f"{listener.url}/hooks/{NAMES[name]}", Headers(headers), body, NOW)
    try:
        signed = sign(made, request)
    except Rejected:
        return  # Twilio signs the fields of a form, and this is none
    pairs = [(key.encode(), value.encode("utf-8", "surrogateescape")) for key, value in signed.headers.flat()]
    host, given = signed.url.split("/")[2].encode(), signed.url.partition("?")[2].encode()
    query = b"?" + given if given else b""
    status, told = ask(loop, listener, name, body=body, headers=[*pairs, (b"host", host)], query=query)
    assert status in {200, 202, 204, 413, 415} or (status, told) == (400, ["batch_item"]) or not made.scheme.proves


def sign(made, request):
    """As the sender of this source."""
    if made.name in vendors.NAMES:
        return vendors.sign(made.name, request)
    return made.scheme.sign(request, id="e-1", type="t")


MOST = 256 << 10


def fill(piece, size=MOST - 100):
    """A piece again and again, up to a size."""
    return piece * (size // len(piece))


def zeros(size):
    """That many zeros, compressed."""
    machine = zlib.compressobj(9, wbits=31)
    return b"".join([*(machine.compress(bytes(1 << 20)) for _ in range(size >> 20)), machine.flush()])


FIELD = b'--x\r\nContent-Disposition: form-data; name="a"\r\n'
LAUGHS = b"".join(b'<!ENTITY %c "%s">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(10))
BOMBS = {
    "a gzip bomb": ("application/json", "gzip", zeros(200 << 20)),
    "a gzip bomb in gzip": ("application/json", "gzip", gzipped(zeros(200 << 20))),
    "gzip of many members": ("application/json", "gzip", gzipped(b"") * 5_000),
    "gzip of as much as is allowed": ("application/json", "gzip", gzipped(b"[" + fill(b"[],") + b"[]]")),
    "a deflate bomb": ("application/json", "deflate", zlib.compress(bytes(64 << 20))),
    "many objects": ("application/json", "", b"[" + fill(b'{"a":1},') + b"{}]"),
    "many keys": ("application/json", "", json.dumps({str(number): 1 for number in range(18_000)}).encode()),
    "deep JSON": ("application/json", "", fill(b'{"a":')),
    "a long number": ("application/json", "", fill(b"1")),
    "many lines": ("application/x-ndjson", "", fill(b"{}\n")),
    "many CloudEvents": ("application/cloudevents-batch+json", "", b"[" + fill(b"{},") + b"{}]"),
    "a billion laughs": ("text/xml", "", b'<!DOCTYPE l [<!ENTITY a "ha">' + LAUGHS + b"]><l>&k;</l>"),
    "a long entity": ("text/xml", "", b'<!DOCTYPE l [<!ENTITY a "%s">]><l>%s</l>' % (b"x" * 100_000, b"&a;" * 40_000)),
    "many elements": ("text/xml", "", b"<r>" + fill(b"<a b=''/>") + b"</r>"),
    "many attributes": ("text/xml", "", b"<r %s/>" % b" ".join(b'a%d=""' % number for number in range(20_000))),
    "deep XML": ("text/xml", "", b"<a>" * (MOST // 8) + b"</a>" * (MOST // 8)),
    "many fields": ("application/x-www-form-urlencoded", "", fill(b"a=1&")),
    "deep fields": ("application/x-www-form-urlencoded", "", b"&".join([b"a" + b"[b]" * 20 + b"=1"] * 1_900)),
    "a deep field": ("application/x-www-form-urlencoded", "", b"a" + fill(b"[b]")),
    "many parts": ("multipart/form-data; boundary=x", "", fill(FIELD + b"\r\n\r\n") + b"--x--"),
    "parts in a part": (
        "multipart/form-data; boundary=x",
        "",
        FIELD + b"\r\n" + fill(b"--y\r\n\r\n\r\n") + b"\r\n--x--",
    ),
    "many headers of a part": ("multipart/form-data; boundary=x", "", FIELD + fill(b"A: b\r\n")),
    "a part without an end": ("multipart/form-data; boundary=x", "", FIELD + b"\r\n" + fill(b"\r\n--")),
}
"""Bodies of at most `MOST` bytes that want to become more."""


@pytest.mark.parametrize("what", BOMBS)
def test_what_a_body_grows_to_is_a_multiple_of_what_is_allowed(what):
    """Python's own objects take some 30 times what they are written as; nothing takes more than 48 times."""
    kind, encoding, body = BOMBS[what]
    assert len(body) <= MOST
    hook, headers = HOOKS["open"], Headers([("content-type", kind), ("content-encoding", encoding)])
    request = Request("POST", "http://relay/hooks/open", headers, body, NOW, most=MOST)
    tracemalloc.start()
    try:
        with suppress(Rejected):
            decode(hook, hook.scheme, request, ids=lambda: "id")
        assert tracemalloc.get_traced_memory()[1] < 48 * MOST
    finally:
        tracemalloc.stop()


async def test_bombs_of_a_stranger_end_before_they_are_read():
    """Nothing of what must be signed is inflated or parsed before it is verified."""
    async with listen(max_body=MOST) as listener:
        tracemalloc.start()
        try:
            for kind, encoding, body in BOMBS.values():
                headers = {
                    "Content-Type": kind,
                    "Content-Encoding": encoding,
                    "X-Hub-Signature-256": f"sha256={64 * '0'}",
                }
                assert (await listener.post("code", body, headers))[0] == 401
            assert tracemalloc.get_traced_memory()[1] < 16 * MOST
        finally:
            tracemalloc.stop()
