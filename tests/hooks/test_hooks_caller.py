"""Who called and under which URL: the word of trusted proxies, and of nobody else."""

import ipaddress

import pytest

from relay.hooks import caller
from tests.hooks.listener import HOOKS, NOW, listen
from tests.signing import sign

INSIDE = ("127.0.0.0/8", "10.0.0.0/8")


US = "https://us.example"
FAR = "203.0.113.9"


def forwarded(*elements):
    return {"Forwarded": ", ".join(elements)}


def x_forwarded(**values):
    return {f"X-Forwarded-{name}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("networks", "headers", "url", "remote"),
    [
        (INSIDE, forwarded(f"for={FAR};proto=https;host=us.example"), US, FAR),
        (INSIDE, forwarded('For="[2001:db8::9]:4711";Proto=https;Host="us.example:8443"'), f"{US}:8443", "2001:db8::9"),
        # The outermost trusted proxy saw the sender's own request; the nearer one saw plain HTTP.
        (INSIDE, forwarded(f"for={FAR};proto=https;host=us.example", "for=10.1.1.1;proto=http"), US, FAR),
        (INSIDE, x_forwarded(For=f"{FAR}, 10.1.1.1", Proto="https, http", Host="us.example"), US, FAR),
        # What a stranger puts in front is passed on by proxies, and not believed.
        (INSIDE, forwarded("for=6.6.6.6;host=evil.example", f"for={FAR};proto=https;host=us.example"), US, FAR),
        (INSIDE, x_forwarded(Proto="https", Host="us.example"), US, "127.0.0.1"),
        (INSIDE, forwarded("for=_hidden;proto=https;host=us.example"), US, "127.0.0.1"),
        (INSIDE, forwarded('for="; nonsense ,,;;='), None, "127.0.0.1"),
        # However much a stranger writes, the proxies' own words at the end are found.
        (
            INSIDE,
            forwarded(*["for=6.6.6.6;host=evil.example"] * 200, f"for={FAR};proto=https;host=us.example"),
            US,
            FAR,
        ),
        (INSIDE, forwarded('for="6.6.6.6', f"for={FAR};proto=https;host=us.example"), US, FAR),
        (INSIDE, forwarded('"' * 5_001, f"for={FAR};proto=https;host=us.example"), US, FAR),
        (INSIDE, x_forwarded(For=", ".join(["6.6.6.6"] * 900 + [FAR]), Proto="https", Host="us.example"), US, FAR),
        (("10.0.0.0/8",), forwarded(f"for={FAR};proto=https;host=us.example"), None, "127.0.0.1"),
        ((), x_forwarded(Proto="https", Host="us.example"), None, "127.0.0.1"),
        # An IPv4 address inside an IPv6 one is the IPv4 address.
        (INSIDE, x_forwarded(For=f"::ffff:{FAR}, ::ffff:10.1.1.1", Proto="https, http", Host="us.example"), US, FAR),
    ],
)
async def test_the_url_that_is_signed_and_the_caller(networks, headers, url, remote):
    async with listen(trusted_proxies=tuple(map(ipaddress.ip_network, networks))) as listener:
        signed = sign(HOOKS["url"].scheme, b"{}", now=NOW, id="1", url=f"{url or listener.url}/hooks/url")
        assert (await listener.post("url", b"{}", signed | headers))[0] == 202
        await listener.post("code", b"{}", headers)
        assert listener.rejected[-1].remote == remote


def test_forwarded_is_read_in_one_pass_of_its_last_4_kib():
    """Each quote and comma is looked at once; before, the time grew with the square of the length."""
    marks = []

    class Marked(str):
        __slots__ = ()

        def __getitem__(self, part):
            marks.append(part)
            return str.__getitem__(self, part)

    text = Marked('",' * 500_000 + "for=203.0.113.9")
    assert caller._split(text)[-1] == "for=203.0.113.9"
    assert marks == [slice(-4_096, None, None)]
    assert len(caller._split(",".join(f"for=10.0.0.{n}" for n in range(100)))) == 32
    assert caller._split("a" * 5_000) == []
