"""What is fetched from vendors: over TLS, whole or not at all, and from nowhere else."""

import asyncio
import contextlib
import ssl

import pytest
from aiohttp import web

from relay.errors import Retryable
from relay.hooks import fetch
from tests.services.forward import forwarding

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n"


@pytest.fixture
def tls(authority):
    """What a client believes that trusts the authority."""
    return ssl.create_default_context(cadata=authority.pem.decode())


@contextlib.asynccontextmanager
async def vendor(authority, tmp_path, answer):
    """A vendor's server over TLS; gives its address and the requests that it got."""
    identity = authority.issue("localhost")
    identity.write(tmp_path / "chain.pem", tmp_path / "key.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    asked = []

    async def take(request):
        asked.append(request.path)
        return await answer(request)

    app = web.Application()
    app.router.add_get("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def in_pieces(request):
    """A document that comes piece by piece, each read before the next is sent."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    for at in range(len(CERTIFICATE)):
        await answer.write(CERTIFICATE[at : at + 1])
        await asyncio.sleep(0)
    return answer


async def test_a_document_is_fetched_whole_however_it_comes(authority, tls, tmp_path):
    async with vendor(authority, tmp_path, in_pieces) as (url, _):
        assert await fetch(f"{url}/a.pem", tls=tls) == CERTIFICATE


async def test_up_to_64_kib_and_not_a_byte_more(authority, tls, tmp_path):
    async def answer(request):
        return web.Response(body=b"x" * int(request.path.strip("/")))

    async with vendor(authority, tmp_path, answer) as (url, _):
        assert len(await fetch(f"{url}/{64 << 10}", tls=tls)) == 64 << 10
        with pytest.raises(Retryable, match="more than 65536 bytes"):
            await fetch(f"{url}/{(64 << 10) + 1}", tls=tls)


async def test_a_redirect_is_not_followed(authority, tls, tmp_path):
    async def answer(request):
        raise web.HTTPFound("/elsewhere")

    async with vendor(authority, tmp_path, answer) as (url, asked):
        with pytest.raises(Retryable, match="answered 302"):
            await fetch(f"{url}/a.pem", tls=tls)
        assert asked == ["/a.pem"]


async def test_a_server_that_nobody_vouches_for_is_not_asked(authority, tmp_path):
    async with vendor(authority, tmp_path, in_pieces) as (url, asked):
        with pytest.raises(Retryable, match="cannot be fetched"):
            await fetch(f"{url}/a.pem")
        assert asked == []


async def test_no_failure_tells_the_token_in_an_address(authority, tls, tmp_path):
    async def answer(request):
        return web.Response(body=b"x" * (65 << 10)) if request.path == "/long" else web.Response(status=403)

    async with vendor(authority, tmp_path, answer) as (url, _):
        for path, trust in (("long", tls), ("gone", tls), ("gone", None)):
            with pytest.raises(Retryable) as caught:
                await fetch(f"{url}/{path}?Token=Sesam", tls=trust)
            assert url.removeprefix("https://") in str(caught.value)
            assert "Sesam" not in str(caught.value)


async def test_a_document_comes_by_the_proxy_that_the_environment_names(authority, tls, tmp_path):
    async def answer(request):
        return web.Response(body=CERTIFICATE)

    async with (
        vendor(authority, tmp_path, answer) as (url, asked),
        forwarding({"localhost.vendor.test:443": int(url.rpartition(":")[2])}, login="relay:hunter2") as proxy,
    ):
        env = {"HTTPS_PROXY": proxy.url.replace("://", "://relay:hunter2@")}
        with pytest.raises(Retryable, match="certificate"):
            await fetch("https://localhost.vendor.test/a.pem", tls=tls, env=env)  # the vendor's is for another host
        assert (len(proxy.heads), asked) == (1, [])
        assert await fetch(f"{url}/a.pem", tls=tls, env=env) == CERTIFICATE
        assert len(proxy.heads) == 1, "this machine is asked straight"
        for login, told in (("relay:other", "which answered 407"), (None, "which answered 407")):
            env = {"HTTPS_PROXY": proxy.url.replace("://", f"://{login}@") if login else proxy.url}
            with pytest.raises(Retryable, match=told) as caught:
                await fetch("https://vendor.test/a.pem", tls=tls, env=env)
            assert "(HTTPS_PROXY)" in str(caught.value)
            assert "other" not in str(caught.value)
    with pytest.raises(Retryable, match="cannot be fetched: ALL_PROXY is a socks5:// proxy"):
        await fetch("https://vendor.test/a.pem", env={"ALL_PROXY": "socks5://u:hunter2@x"})


async def test_only_https_is_fetched():
    with pytest.raises(Retryable, match="only https"):
        await fetch("http://localhost/a.pem")
