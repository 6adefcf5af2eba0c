"""Calls to Cargo by a proxy that asks for a password: a real proxy, and a simulated Cargo behind TLS."""

import asyncio
import json
import socket
import ssl
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import web

from relay.cargo import Cargo
from relay.errors import Retryable
from relay.proxy import parse
from relay.sandbox import make_app
from relay.secret import Secret
from tests.services.authority import Authority
from tests.services.forward import forwarding

TOKEN = "sk-cargo-9d1e"
CHAT = json.dumps({"trigger": {"type": "draft"}}).encode()
LOGIN = "us er:p@ss/w:rd%ż"
WRITTEN = "us%20er:p%40ss%2Fw%3Ard%25%C5%BC"


def context(authority, folder, *hosts):
    """What a server presents that is one of these hosts."""
    certificate, key = folder / f"{hosts[0]}.pem", folder / f"{hosts[0]}.key"
    authority.issue(*hosts).write(certificate, key)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(certificate, key)
    return made


@asynccontextmanager
async def simulating(tls=None):
    """A simulated Cargo; gives its port and the headers of the requests that it got."""
    seen = []
    app = make_app(token=TOKEN)

    async def note(request, response):
        seen.append(dict(request.headers))

    app.on_response_prepare.append(note)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield runner.addresses[0][1], seen
    finally:
        await runner.cleanup()


def cargo(base, proxy, **settings):
    return Cargo(f"{base}/v1", Secret(TOKEN), timeout=10, connections=2, proxy=parse(proxy, "HTTPS_PROXY"), **settings)


def with_login(url, login=WRITTEN):
    return url.replace("://", f"://{login}@")


@pytest.mark.parametrize("over_tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_an_https_cargo_is_reached_by_connect_and_its_token_stays_between_us(
    authority, ca_file, tmp_path, loop, over_tls
):
    async def call():
        tls = context(authority, tmp_path, "127.0.0.1") if over_tls else None
        async with (
            simulating(context(authority, tmp_path, "cargo.test")) as (port, seen),
            forwarding({"cargo.test:443": port}, login=LOGIN, tls=tls) as proxy,
            cargo("https://cargo.test", with_login(proxy.url), ca_file=ca_file) as chats,
        ):
            made = await chats.create(CHAT)
            assert (await chats.chats("draft", 0, made.created_at + 1, 0)).chats == (made,)
        return proxy.heads, seen

    with asyncio.Runner(loop_factory=loop) as runner:
        heads, seen = runner.run(call())
    assert len(heads) == 1, "one tunnel serves both calls"
    assert heads[0].startswith(b"CONNECT cargo.test:443 HTTP/1.1\r\n")
    assert TOKEN.encode() not in heads[0]
    assert [headers["Authorization"] for headers in seen] == [f"Bearer {TOKEN}"] * 2
    assert not any("Proxy-Authorization" in headers for headers in seen)


async def test_an_http_cargo_is_reached_by_the_proxy_s_own_requests():
    async with (
        simulating() as (port, seen),
        forwarding({"cargo.test": port}, login=LOGIN) as proxy,
        cargo("http://cargo.test", with_login(proxy.url)) as chats,
    ):
        assert (await chats.create(CHAT)).uuid
    assert proxy.heads[0].startswith(b"POST http://cargo.test/v1/ai/chats HTTP/1.1\r\n")
    assert len(seen) == 1


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize(
    ("login", "told"),
    [
        (WRITTEN[:-3], r"refuses its user or password \(407\)"),
        (None, r"asks for a login \(407\): write http://user:password@ before its host"),
    ],
    ids=["wrong", "none"],
)
async def test_a_password_that_is_wrong_or_missing_holds_nobody_to_blame_but_the_proxy(scheme, login, told):
    async with forwarding({}, login=LOGIN) as proxy:
        written = with_login(proxy.url, login) if login else proxy.url
        async with cargo(f"{scheme}://cargo.test", written) as chats:
            with pytest.raises(Retryable, match=told) as caught:
                await chats.create(CHAT)
    port = proxy.url.rpartition(":")[2]
    shown = f"http://us er:********@127.0.0.1:{port}" if login else proxy.url
    assert f"the proxy {shown} (HTTPS_PROXY)" in str(caught.value)
    assert "nothing was" in str(caught.value)
    assert not [secret for secret in ("p@ss", "p%40ss", "Basic", TOKEN) if secret in repr(caught.value)]


async def test_what_a_proxy_cannot_reach_is_retryable():
    async with forwarding({}) as proxy, cargo("https://cargo.test", proxy.url) as chats:
        with pytest.raises(Retryable, match=r"does not let us through \(it answered 502\); nothing was sent"):
            await chats.create(CHAT)


async def test_a_proxy_that_is_away_or_hangs_up_is_named():
    async def hang_up(reader, writer):
        writer.close()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}"
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    closing = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        for url, told in {
            away: f"the proxy {away} (HTTPS_PROXY): Connection refused; nothing was sent",
            "http://proxy.invalid:3128": "the proxy http://proxy.invalid:3128 (HTTPS_PROXY): ",
            closing: f"by the proxy {closing} (HTTPS_PROXY); nothing was sent",
        }.items():
            for scheme in ("https", "http") if url != closing else ("https",):
                async with cargo(f"{scheme}://cargo.test", url) as chats:
                    with pytest.raises(Retryable) as caught:
                        await chats.create(CHAT)
                assert told in str(caught.value)


async def test_a_proxy_that_says_nothing_is_named():
    left = asyncio.Event()

    async def mute(reader, writer):
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Cargo(
            "https://cargo.test/v1", Secret(TOKEN), timeout=0.6, connections=1, proxy=parse(url, "cargo.proxy")
        ) as chats:
            told = rf"connecting by the proxy {url} \(cargo\.proxy\) took too long; nothing was sent"
            with pytest.raises(Retryable, match=told):
                await chats.create(CHAT)
        await left.wait()


async def test_a_certificate_that_is_not_trusted_is_told_of_the_proxy_or_of_cargo(authority, ca_file, tmp_path):
    stranger = Authority("Others")
    async with simulating(context(stranger, tmp_path, "cargo.test")) as (port, _):
        hosts = {"cargo.test:443": port}
        async with forwarding(hosts) as proxy, cargo("https://cargo.test", proxy.url, ca_file=ca_file) as chats:
            told = r"reached: its certificate is not trusted \(.*\): check cargo.ca_file, by the proxy"
            with pytest.raises(Retryable, match=told):
                await chats.create(CHAT)
        tls = context(stranger, tmp_path, "127.0.0.1")
        async with (
            forwarding(hosts, tls=tls) as proxy,
            cargo("https://cargo.test", proxy.url, ca_file=ca_file) as chats,
        ):
            told = r"reached: the proxy https://127\.0\.0\.1:\d+ \(HTTPS_PROXY\): its certificate is not trusted"
            with pytest.raises(Retryable, match=told):
                await chats.create(CHAT)
