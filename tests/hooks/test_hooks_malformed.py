"""What is no HTTP, or hostile: never a 500, never a word of it in an answer or a log line."""

import asyncio
import gzip
import io
from urllib.parse import urlsplit

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.hooks.unread import judge
from relay.telemetry import configure, get_log
from relay.units import Rate
from tests.hooks.listener import listen


async def raw(url: str, request: bytes) -> bytes:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.fixture
def lines(monkeypatch):
    before, out = structlog.get_config(), io.StringIO()
    configure("debug", "json", out)
    monkeypatch.setattr("relay.hooks.connection.log", get_log())  # a logger keeps what it was configured to first
    yield out
    structlog.configure(**before)


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer Sesam-bearer\x01",
        b"X-Hub-Signature-256: sha256=Sesam\x00",
        b"X-Hub-Signature-256: sha256=Sesam" + b"A" * 9_000,
        b"Sesam secret: x",
    ],
)
async def test_a_malformed_header_is_400_and_repeated_nowhere(header, lines):
    head = b"POST /hooks/token HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    async with listen() as listener:
        answer = await raw(listener.url, head + header + b"\r\n\r\n{}")
        assert b" 400 " in answer[:16]
        assert b"application/problem+json" in answer
        assert b"Sesam" not in answer
        assert "Sesam" not in lines.getvalue()
        assert "request.malformed" in lines.getvalue()
        assert not listener.intake.events


async def test_two_lengths_and_broken_chunks_are_400():
    async with listen() as listener:
        for head in (
            b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        ):
            answer = await raw(listener.url, b"POST /hooks/open HTTP/1.1\r\nHost: x\r\n" + head)
            assert b" 400 " in answer[:16]
        assert not listener.intake.events


async def test_a_body_of_very_many_gzip_members_is_refused():
    async with listen() as listener:
        status, _, _ = await listener.post("open", gzip.compress(b"", mtime=0) * 40_000, {"Content-Encoding": "gzip"})
        assert status == 400
        status, _, _ = await listener.post(
            "open", gzip.compress(b"{", mtime=0) + gzip.compress(b"}", mtime=0), {"Content-Encoding": "gzip"}
        )
        assert status == 202


async def test_many_unknown_sources_share_one_label():
    async with listen() as listener:
        for number in range(50):
            status, _, _ = await listener.post(f"nobody-{number}")
            assert status == 404
        assert listener.counted("_unknown", "unknown_source") == 50
        assert listener.counted("nobody-1", "unknown_source") is None


printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


async def test_no_body_and_no_header_ever_gives_a_500():
    async with listen() as listener:
        loop = asyncio.get_running_loop()

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            source=st.sampled_from(["open", "code", "partners", "token", "login", "shop", "url"]),
            body=st.binary(max_size=300)
            | st.sampled_from([b"", b"[" * 5_000, b'{"a": NaN}', b'"\\ud800"', b"9" * 5_000]),
            content_type=printable,
            encoding=st.sampled_from(["", "gzip", "deflate", "br", "identity"]) | printable,
            extra=st.dictionaries(
                st.sampled_from(["ce-id", "ce-specversion", "ce-time", "x-signature", "authorization", "webhook-id"]),
                printable,
            ),
        )
        def send(source, body, content_type, encoding, extra):
            headers = {
                "Content-Type": content_type.strip() or None,
                "Content-Encoding": encoding.strip() or None,
                **extra,
            }
            posted = asyncio.run_coroutine_threadsafe(listener.post(source, body, headers), loop)
            status, _, _ = posted.result(30)
            assert status in {200, 202, 400, 401, 413, 415}

        await asyncio.to_thread(send)


LONG = b"A" * 9_000


@pytest.mark.parametrize(
    ("head", "status", "told"),
    [
        ([b"X-Forwarded-Client-Cert: " + LONG], 400, "the header X-Forwarded-Client-Cert has more than the 8190 bytes"),
        ([b"X-A: 1", b"cookie: " + LONG, b"X-B: 1"], 400, "the header cookie has more than the 8190 bytes"),
        ([b"X-Token: Sesam\x01"], 400, "the header X-Token contains a control character"),
        ([b"X-A: 1"] * 200, 400, "this request has more than 128 headers"),
        (
            [b"X-%d: %b" % (number, b"A" * 8_000) for number in range(5)],
            431,
            "are larger than 32768 bytes; the largest",
        ),
        ([b"Sesam secret: x"], 400, "this request cannot be read"),
    ],
)
@pytest.mark.parametrize("piece", [1 << 20, 3_000])
async def test_a_head_that_cannot_be_read_is_named_and_kept(head, status, told, piece, lines):
    request = b"\r\n".join([b"POST /hooks/token?t=Sesam HTTP/1.1", b"Host: x", *head, b"Content-Length: 2", b"", b"{}"])
    async with listen() as listener:
        parts = urlsplit(listener.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            for start in range(0, len(request), piece):
                writer.write(request[start : start + piece])
                await writer.drain()
            answer = await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            answer = b""  # the rest came after the answer
        writer.close()
    [rejection] = listener.rejected
    assert (rejection.source, rejection.status, rejection.reason) == ("token", status, "malformed")
    assert rejection.hint.endswith(("send less", "send fewer", "correct it at the sender", "corrupts requests"))
    assert listener.counted("token", "malformed") == 1
    if answer:
        assert f" {status} ".encode() in answer[:16]
    if status == 400:
        assert told in (answer.decode() or told)
        assert told in lines.getvalue()
    else:
        assert "X-" in rejection.hint
    for text in (answer.decode(), rejection.hint, lines.getvalue()):
        assert "Sesam" not in text
        assert "AAAA" not in text


async def test_what_cannot_be_read_of_no_source_is_only_counted():
    async with listen() as listener:
        answer = await raw(listener.url, b"POST /hooks/nobody HTTP/1.1\r\nX-Long: " + LONG + b"\r\n\r\n")
        assert b"the header X-Long has more than" in answer
        assert b"\x16\x03\x01" not in await raw(listener.url, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert listener.counted("_unknown", "malformed") == 2
        assert not listener.rejected


async def test_a_flood_of_what_cannot_be_read_is_not_kept():
    """Refusals of an address beyond `limit_refused` cost the ledger nothing."""
    async with listen(limit_refused=Rate(1, 60_000)) as listener:
        listener.crowd.report(judge(b"POST /hooks/token HTTP/1.1\r\nX-Long: " + LONG), "192.0.2.1")
        for _ in range(30):
            listener.crowd.report(judge(b"POST /hooks/token HTTP/1.1\r\nX-Long: " + LONG), "198.51.100.7")
    assert len(listener.rejected) == 11
    assert listener.counted("token", "malformed") == 31
