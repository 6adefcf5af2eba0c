"""Requests between Relay and the SDKs of senders, over HTTP: what an SDK signs comes in, what Relay signs goes out."""

import contextlib
import time
from dataclasses import dataclass, replace

from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from relay.cli.send import _post
from relay.schemes import Headers
from tests.hooks import vendors
from tests.hooks.listener import listen
from tests.hooks.vendors import hook
from tests.schemes import cases
from tests.schemes.cases import way


def clock():
    """Now: the SDKs look at the clock."""
    return int(time.time() * 1_000)


def secret(name):
    """What is configured for a vendor's sample: SDK and source have the same."""
    return way(name).secret


def raw_key(public):
    """An Ed25519 key in PEM as the hex that Discord shows."""
    return load_pem_public_key(public.encode()).public_bytes_raw().hex()


def changed(body):
    """The body with one byte changed: the last digit becomes its neighbour."""
    at = max(place for place, byte in enumerate(body) if byte in b"0123456789")
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def sample(name, url):
    """A vendor's sample, as it comes to this address now, before it is signed."""
    made = cases.request_of(name)
    return replace(made, url=made.url.replace(cases.URL, url), received_at=clock())


def with_headers(made, added):
    """The request with these headers, in place of those of the same names."""
    names = {name.lower() for name in added}
    kept = [(name, value) for name, value in made.headers.flat() if name not in names]
    return replace(made, headers=Headers([*kept, *added.items()]))


@contextlib.asynccontextmanager
async def receiving(name):
    """A listener with the source of a vendor's sample, at the time of the clock."""
    async with listen(hooks={name: hook(name)}, clock=clock) as listener:
        yield listener


@dataclass
class Caught:
    """A request as it came over the wire; header names in small letters."""

    method: str
    url: str
    headers: dict
    body: bytes

    def changed(self):
        return replace(self, body=changed(self.body))

    def to_json(self):
        return {"method": self.method, "url": self.url, "headers": self.headers, "body": self.body.decode()}


async def send(name, change=lambda made: made):
    """A vendor's sample, signed by Relay and posted as `relay send` does; the request that came."""
    came = []

    async def take(http):
        headers = {key.lower(): value for key, value in http.headers.items()}
        came.append(Caught(http.method, str(http.url), headers, await http.read()))
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/hooks/{source}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/{name}"
        signed = vendors.sign(name, change(sample(name, url)))
        await _post(signed.url, signed.body, dict(signed.headers.flat()))
    finally:
        await runner.cleanup()
    return came[0]
