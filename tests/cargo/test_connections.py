"""What the adapter makes of servers that misbehave below, or beside, what Cargo's reference says: real sockets."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import json
import re
import socket
import ssl
import struct
import traceback
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay.cargo import Cargo
from relay.errors import Denied, Misconfigured, Permanent, Retryable, Unknown
from relay.secret import Secret

TOKEN = "sk-cargo-9d1e"
UUID = "0f8b7c1e-5a52-4c7e-9d53-0c2f7c1d2e3f"
BODY = b'{"trigger": {"type": "app"}}'


def cargo(url, **settings):
    return Cargo(f"{url}/v1", Secret(TOKEN), **{"timeout": 5.0, "connections": 2, **settings})


def http(body=b"", status="200 OK", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chat(**fields):
    return json.dumps({"chat": {"uuid": UUID, "createdAt": "2026-11-23T09:00:00.000Z", **fields}}).encode()


async def receive(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length or 0))


@asynccontextmanager
async def serving(handle, **settings):
    """A TCP server; `handle(reader, writer, n)` has the n-th connection."""
    tasks = []

    async def each(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            await handle(reader, writer, len(tasks))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(each, "127.0.0.1", 0, **settings)
    scheme = "https" if "ssl" in settings else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*parts, stay=False):
    """Reads a request, writes the parts, then closes the connection or stays silent."""

    async def handle(reader, writer, _):
        await receive(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()
        if stay:
            await reader.read()

    return handle


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"HTTP/1.1 400 Bad\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        http(chat())[:-5],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        http(b"not gzip", "200 OK", "Content-Encoding: gzip"),
        http(b"<html>hello</html>", "200 OK", "Content-Type: text/html"),
        http(b""),
        http(b"", "204 No Content"),
        http(b"{}"),
        http(b"[]"),
        http(b"null"),
        http(b"\xff\xfe\x00"),
        http(b"[" * 100_000),
        http(b'{"chat": null}'),
        http(b'{"chat": {"uuid": "none"}}'),
        http(b'{"chat": {"uuid": 7}}'),
        http(b'{"chat": {"name": "no uuid"}}'),
        http(b"", "302 Found", "Location: http://127.0.0.1:1/"),
        http(b"", "307 Temporary Redirect", "Location: /v1/ai/chats"),
        http(b"", "304 Not Modified"),
        http(b"", "408 Request Timeout"),
        http(b"", "500 Oops"),
        http(b"<html>Bad Gateway</html>", "502 Bad Gateway"),
        http(b"", "599 Odd"),
    ],
)
async def test_an_answer_that_proves_nothing_is_unknown(answer):
    async with serving(answering(answer)) as url, cargo(url) as chats:
        with pytest.raises(Unknown):
            await chats.create(BODY)


async def reset(reader, writer, _):
    """Read a request, answer a part of it, reset the connection."""
    await receive(reader)
    writer.write(http(chat())[:40])
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_reset_while_the_answer_comes_is_unknown():
    async with serving(reset) as url, cargo(url) as chats:
        with pytest.raises(Unknown):
            await chats.create(BODY)


async def hang_up(reader, writer, _):
    """Take a connection, and nothing more."""


async def speak_plainly(reader, writer, _):
    """Answer without TLS, whatever was asked."""
    writer.write(http(b"", "400 Bad Request"))
    await reader.read()


@pytest.mark.parametrize(
    ("handle", "told"),
    [
        (hang_up, "it was closed before an answer came"),
        (answering(b""), "it was closed before an answer came"),
        (answering(b"\x16\x03\x01 this is no HTTP\r\n\r\n"), "the answer is no HTTP that can be read"),
        (answering(http(chat())[:-5]), "the answer was cut short or garbled"),
        (answering(http(b"not gzip", "200 OK", "Content-Encoding: gzip")), "the answer was cut short or garbled"),
        (reset, "(the answer was cut short or garbled|it was closed before an answer came)"),
    ],
)
async def test_a_broken_connection_is_told_in_plain_words(handle, told):
    async with serving(handle) as url, cargo(url) as chats:
        with pytest.raises(Unknown, match=rf"^The connection to Cargo broke: {told}.*; it is not known") as caught:
            await chats.create(BODY)
    assert_plain(caught.value)


async def test_a_connection_that_cannot_be_made_is_told_in_plain_words():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with serving(speak_plainly) as plain, serving(hang_up) as closing:
        for url, told in {
            f"http://127.0.0.1:{port}": "Cargo at 127.0.0.1 could not be reached: Connection refused; nothing was sent",
            "http://cargo.invalid": "Cargo at cargo.invalid could not be reached: ",
            plain.replace("http:", "https:"): "Cargo at 127.0.0.1 could not be reached: TLS could not be agreed on (",
            closing.replace("http:", "https:"): "Cargo at 127.0.0.1 could not be reached: ",
        }.items():
            async with cargo(url) as chats:
                with pytest.raises(Retryable) as caught:
                    await chats.create(BODY)
            assert str(caught.value).startswith(told)
            assert_plain(caught.value)


async def test_silence_after_half_an_answer_ends_with_the_timeout():
    async with serving(answering(http(chat())[:-5], stay=True)) as url, cargo(url, timeout=0.3) as chats:
        with pytest.raises(Unknown, match=r"within 0\.3s"):
            await chats.create(BODY)


async def test_a_drip_of_bytes_does_not_stretch_the_timeout():
    async def drip(reader, writer, _):
        await receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as url, cargo(url, timeout=0.3) as chats:
        with pytest.raises(Unknown):
            await asyncio.wait_for(chats.create(BODY), 3)


@pytest.mark.parametrize("inflated", [False, True])
async def test_an_endless_answer_is_not_read(inflated):
    page = b'{"chats": [' + b" " * (9 << 20) + b"]}"
    answer = http(gzip.compress(page), "200 OK", "Content-Encoding: gzip") if inflated else http(page)
    async with serving(answering(answer)) as url, cargo(url) as chats:
        with pytest.raises(Unknown, match="larger than 8388608 bytes"):
            await chats.chats("connector", 0, 1, 0)
        with pytest.raises(Unknown, match="larger than 1048576 bytes"):
            await chats.create(BODY)


async def test_a_large_list_is_read():
    page = b'{"chats": [' + b" " * (7 << 20) + b"]}"
    async with serving(answering(http(page))) as url, cargo(url) as chats:
        assert (await chats.chats("connector", 0, 1, 0)).rows == 0


async def test_a_redirect_is_not_followed():
    visits = []

    async def target(reader, writer, n):
        visits.append(n)

    async with serving(target) as elsewhere:
        answer = http(b"", "307 Temporary Redirect", f"Location: {elsewhere}/v1/ai/chats")
        async with serving(answering(answer)) as url, cargo(url) as chats:
            with pytest.raises(Unknown, match="base_url") as caught:
                await chats.create(BODY)
    assert caught.value.status == 307
    assert visits == []


async def test_a_creation_on_a_kept_connection_that_died_is_unknown_and_not_sent_again():
    connections = []

    async def handle(reader, writer, n):
        connections.append(n)
        await receive(reader)
        writer.write(http(chat()))
        await receive(reader)

    async with serving(handle) as url, cargo(url) as chats:
        assert (await chats.create(BODY)).uuid == UUID
        with pytest.raises(Unknown):
            await chats.create(BODY)
    assert connections == [1]


async def test_a_connection_that_was_closed_between_calls_is_not_used():
    closed = asyncio.Event()

    async def handle(reader, writer, n):
        await receive(reader)
        writer.write(http(chat()))
        await writer.drain()
        if n == 1:
            writer.close()
            await writer.wait_closed()
            closed.set()

    async with serving(handle) as url, cargo(url) as chats:
        await chats.create(BODY)
        await closed.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert (await chats.create(BODY)).uuid == UUID


async def test_a_refused_connection_and_a_name_that_does_not_exist_are_retryable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://cargo.invalid"):
        async with cargo(url) as chats:
            with pytest.raises(Retryable, match="nothing was sent"):
                await chats.create(BODY)


async def test_a_handshake_that_never_ends_is_retryable():
    async def mute(reader, writer, _):
        await reader.read()

    async with serving(mute) as url, cargo(url.replace("http:", "https:"), timeout=0.6) as chats:
        with pytest.raises(Retryable, match="took too long"):
            await chats.create(BODY)


async def test_a_server_that_speaks_no_tls_is_retryable():
    async with serving(speak_plainly) as url, cargo(url.replace("http:", "https:")) as chats:
        with pytest.raises(Retryable, match="nothing was sent"):
            await chats.create(BODY)


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1: the file's path and a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cargo")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "cargo.pem"
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return path, context


async def test_a_certificate_is_trusted_only_through_ca_file(certificate):
    path, context = certificate
    async with serving(answering(http(chat())), ssl=context) as url:
        async with cargo(url) as chats:
            told = r"its certificate is not trusted \(self-signed certificate\): check cargo\.ca_file"
            with pytest.raises(Retryable, match=told):
                await chats.create(BODY)
        async with cargo(url, ca_file=str(path)) as chats:
            assert (await chats.create(BODY)).uuid == UUID


@pytest.mark.parametrize("content", [None, b"no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_a_fault_of_the_configuration(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Misconfigured, match=r"cargo\.ca_file"):
        await cargo("https://127.0.0.1", ca_file=str(path)).__aenter__()


async def test_what_is_sent_is_what_cargo_asks_for():
    seen = []

    async def handle(reader, writer, _):
        seen.append(await receive(reader))
        writer.write(http(chat()))

    settings = {"version": "1.2.3", "workspace_uuid": "ws-1"}
    async with serving(handle) as url, cargo(url, **settings) as chats:
        await chats.create(BODY)
    head, _, sent = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "post /v1/ai/chats http/1.1"
    assert {
        f"authorization: bearer {TOKEN}",
        "content-type: application/json",
        "user-agent: relay/1.2.3",
        "selected-workspace-uuid: ws-1",
    } <= set(lines)
    assert sent == BODY


@pytest.mark.parametrize(
    ("answer", "error", "status"),
    [
        (http(b"", "401 Unauthorized"), Denied, 401),
        (http(b"<html>", "403 Forbidden"), Denied, 403),
        (http(b"", "425 Too Early"), Retryable, 425),
        (http(b"", "429 Too Many Requests"), Retryable, 429),
        (http(b"", "404 Not Found"), Permanent, 404),
        (http(b"", "422 Unprocessable"), Permanent, 422),
        (http(b"x" * 100_000, "400 Bad Request"), Permanent, 400),
        (http(b'{"errorMessage": 7}', "400 Bad Request")[:-3], Permanent, 400),
        (http(b"[" * 50_000, "400 Bad Request"), Permanent, 400),
    ],
)
async def test_a_refusal_stands_by_its_status_whatever_its_words(answer, error, status):
    async with serving(answering(answer)) as url, cargo(url) as chats:
        with pytest.raises(error) as caught:
            await chats.create(BODY)
    assert type(caught.value) is error
    assert caught.value.status == status
    assert len(str(caught.value)) < 200


async def test_what_cargo_says_is_kept_short_on_one_line_and_without_our_token():
    said = {"errorMessage": f"bad\n\0token {TOKEN} \ud800" + "x" * 9_000, "reason": f"r{TOKEN}"}
    answer = http(json.dumps(said).encode(), "400 Bad Request")
    async with serving(answering(answer)) as url, cargo(url) as chats:
        with pytest.raises(Permanent, match=r"bad token \*{8}") as caught:
            await chats.create(BODY)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700
    assert caught.value.code == "r********"
    assert_quiet(caught.value, TOKEN)


async def test_no_secret_is_in_any_error_its_causes_or_a_repr():
    answers = (
        b"",
        b"garbage\r\n\r\n",
        http(b"", "500 Oops"),
        http(b"", "401 No"),
        http(b"", "429 No"),
        http(b"<html>"),
    )
    for answer in answers:
        async with serving(answering(answer)) as url, cargo(url) as chats:
            with pytest.raises((Unknown, Retryable)) as caught:
                await chats.create(BODY)
            assert_quiet(caught.value, TOKEN)
            assert TOKEN not in repr(chats)


@pytest.mark.parametrize("token", ["", "two words", "new\nline", "Schlüssel"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(token):
    with pytest.raises(Misconfigured, match=r"cargo\.token") as caught:
        Cargo("https://api.getcargo.io/v1", Secret(token), timeout=1, connections=1)
    assert not token or token not in f"{caught.value!r}"


@pytest.mark.parametrize(
    "url", ["", "api.getcargo.io", "ftp://x/v1", "https://", "https://u:pw@x/v1", "https://x/v1?a=b"]
)
def test_a_base_url_that_is_none_is_refused_and_not_shown(url):
    with pytest.raises(Misconfigured, match=r"cargo\.base_url") as caught:
        Cargo(url, Secret(TOKEN), timeout=1, connections=1)
    assert "pw" not in f"{caught.value!r}"


def assert_plain(error):
    """A person reads it: nothing in it is a name of Python's or of a library's."""
    assert not re.search(r"[a-z][A-Z]|Error|Exception|Errno|ssl\.", str(error)), error


def assert_quiet(error, *secrets):
    """Neither the error nor anything that hangs on it shows a secret."""
    while error is not None:
        shown = f"{error!r} {error} {error.args!r} {''.join(traceback.format_exception(error))}"
        assert not [secret for secret in secrets if secret in shown]
        error = error.__cause__ or error.__context__
