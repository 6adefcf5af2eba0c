"""A Cargo, or a proxy before it, that takes only clients with a certificate."""

import asyncio
import ssl

import pytest

from relay.errors import Misconfigured, RelayError
from relay.proxy import parse
from tests.cargo.test_connections import UUID, cargo, chat, http, receive, serving


@pytest.fixture
def identity(authority, tmp_path):
    """Our certificate and key: the settings for them."""
    paths = tmp_path / "relay.pem", tmp_path / "relay.key"
    authority.issue("relay").write(*paths)
    return {"cert_file": str(paths[0]), "key_file": str(paths[1])}


@pytest.fixture
def insisting(authority, tmp_path):
    """TLS for a server that takes only clients with a certificate."""
    paths = tmp_path / "server.pem", tmp_path / "server.key"
    authority.issue("127.0.0.1").write(*paths)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*paths)
    return context


async def test_cargo_is_shown_our_certificate(ca_file, identity, insisting):
    shown = []

    async def handle(reader, writer, _):
        await receive(reader)
        shown.append(dict(pair[0] for pair in writer.get_extra_info("peercert")["subject"])["commonName"])
        writer.write(http(chat()))

    async with serving(handle, ssl=insisting) as url:
        async with cargo(url, ca_file=ca_file, **identity) as chats:
            assert (await chats.create(b"{}")).uuid == UUID
        async with cargo(url, ca_file=ca_file) as chats:
            with pytest.raises(RelayError):
                await chats.create(b"{}")
    assert shown == ["relay"]


async def test_an_https_proxy_is_verified_by_ca_file_and_shown_our_certificate(ca_file, identity, insisting):
    seen = []

    async def handle(reader, writer, _):
        seen.append(await receive(reader))
        writer.write(http(chat()))

    async with serving(handle, ssl=insisting) as address:
        proxy = parse(address, "cargo.proxy")
        async with cargo("http://cargo.invalid", proxy=proxy, ca_file=ca_file, **identity) as chats:
            assert (await chats.create(b"{}")).uuid == UUID
        async with cargo("http://cargo.invalid", proxy=proxy, **identity) as chats:
            with pytest.raises(RelayError, match=r"is not trusted .* check cargo\.ca_file"):
                await chats.create(b"{}")
    assert [head.partition(b"\r\n")[0] for head in seen] == [b"post http://cargo.invalid/v1/ai/chats http/1.1"]


async def test_an_https_cargo_behind_an_https_proxy(ca_file, identity, insisting):
    """TLS within TLS: both are verified by the same authority, both are shown the same certificate."""

    async def answer(reader, writer, _):
        await receive(reader)
        writer.write(http(chat()))

    async def connect(reader, writer, _):
        head = await reader.readuntil(b"\r\n\r\n")
        host, port = head.split()[1].decode().split(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def pass_on(source, target):
            while data := await source.read(1 << 16):
                target.write(data)
            target.close()

        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    async with (
        serving(answer, ssl=insisting) as url,
        serving(connect, ssl=insisting) as proxy,
        cargo(url, proxy=parse(proxy, "cargo.proxy"), ca_file=ca_file, **identity) as chats,
    ):
        assert (await chats.create(b"{}")).uuid == UUID


async def test_a_key_that_is_not_the_certificates_is_a_fault_of_the_configuration(authority, identity, tmp_path):
    other = tmp_path / "other.key"
    authority.issue("other").write(tmp_path / "other.pem", other)
    with pytest.raises(Misconfigured, match=r"cargo\.key_file: is not the key of "):
        await cargo("https://127.0.0.1", **identity | {"key_file": str(other)}).__aenter__()
