"""What is no HTTP, or hostile: never a 500, never a word of it in an answer or a log line."""

import asyncio
import gzip
import io
from urllib.parse import urlsplit

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.telemetry import configure, get_log
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
