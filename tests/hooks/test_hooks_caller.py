"""Who called and under which URL: the word of trusted proxies, and of nobody else."""

import ipaddress

import pytest

from tests.hooks.listener import HOOKS, NOW, listen
from tests.signing import sign

INSIDE = ("127.0.0.0/8", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("networks", "headers", "url", "remote"),
    [
        (INSIDE, {"Forwarded": "for=203.0.113.9;proto=https;host=us.example"}, "https://us.example", "203.0.113.9"),
        (INSIDE, {"Forwarded": 'For="[2001:db8::9]:4711";Proto=https;Host="us.example:8443"'}, "https://us.example:8443", "2001:db8::9"),
        # The outermost trusted proxy saw the sender's own request; the nearer one saw plain HTTP.
        (INSIDE, {"Forwarded": "for=203.0.113.9;proto=https;host=us.example, for=10.1.1.1;proto=http"}, "https://us.example", "203.0.113.9"),
        (INSIDE, {"X-Forwarded-For": "203.0.113.9, 10.1.1.1", "X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "us.example"}, "https://us.example", "203.0.113.9"),
        # What a stranger puts in front is passed on by proxies, and not believed.
        (INSIDE, {"Forwarded": "for=6.6.6.6;host=evil.example, for=203.0.113.9;proto=https;host=us.example"}, "https://us.example", "203.0.113.9"),
        (INSIDE, {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "us.example"}, "https://us.example", "127.0.0.1"),
        (INSIDE, {"Forwarded": "for=_hidden;proto=https;host=us.example"}, "https://us.example", "127.0.0.1"),
        (INSIDE, {"Forwarded": 'for="; nonsense ,,;;=', "X-Note": "x"}, None, "127.0.0.1"),
        (("10.0.0.0/8",), {"Forwarded": "for=203.0.113.9;proto=https;host=us.example"}, None, "127.0.0.1"),
        ((), {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "us.example"}, None, "127.0.0.1"),
    ],
)  # fmt: skip
async def test_the_url_that_is_signed_and_the_caller(networks, headers, url, remote):
    async with listen(trusted_proxies=tuple(map(ipaddress.ip_network, networks))) as listener:
        signed = sign(HOOKS["url"].scheme, b"{}", now=NOW, id="1", url=f"{url or listener.url}/hooks/url")
        assert (await listener.post("url", b"{}", signed | headers))[0] == 202
        await listener.post("code", b"{}", headers)
        assert listener.rejected[-1].remote == remote
