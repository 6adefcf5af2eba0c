"""Who may send to a source, and how much: 403 by address and certificate, 429 by limits; the known is still known."""

import ipaddress
import json

import pytest

from relay.hooks import Bounds, ClientCertificate
from relay.hooks.permit import subject
from relay.units import rate
from tests.hooks.listener import HOOKS, hook, listen

INSIDE = (ipaddress.ip_network("127.0.0.0/8"),)
VENDOR, OTHER = "203.0.113.9", "198.51.100.7"
DN = "CN=hooks.vendor.example,O=Vendor"


class Clock:
    """Milliseconds that pass when the test says so."""

    now = 0.0

    def __call__(self):
        return self.now


def bounded(**bounds):
    return HOOKS | {"code": hook("code", "github", "Sesam-github", bounds=Bounds(**bounds))}


def by(address):
    return {"X-Forwarded-For": address}


async def test_beyond_its_limit_a_source_is_answered_429_and_the_known_is_still_known():
    clock = Clock()
    async with listen(hooks=bounded(rate=rate("1/s"), burst=2), monotonic=clock) as listener:

        async def send(name):
            status, headers, answer = await listener.send("code", json.dumps({"n": name}).encode(), id_=name)
            return status, headers.get("Retry-After"), answer

        assert [(await send(name))[0] for name in ("1", "2")] == [202, 202]
        status, later, answer = await send("3")
        assert (status, later, answer["type"]) == (429, "1", "/problems/limit")
        status, later, answer = await send("1")
        assert (status, answer["events"][0]["status"]) == (200, "duplicate")
        assert len(listener.intake.events) == 2
        assert listener.counted("code", "limit") == 1
        clock.now += 1_000
        assert (await send("3"))[0] == 202


async def test_what_proves_nothing_takes_nothing_of_the_limit():
    async with listen(hooks=bounded(rate=rate("1/s"), burst=1), monotonic=Clock()) as listener:
        for _ in range(5):
            assert (await listener.post("code"))[0] == 401
        assert (await listener.send("code"))[0] == 202


async def test_a_long_wait_is_told_in_whole_seconds():
    async with listen(hooks=bounded(rate=rate("1/2h")), monotonic=Clock()) as listener:
        assert (await listener.send("code", b"1", id_="1"))[0] == 202
        assert (await listener.send("code", b"2", id_="2"))[1]["Retry-After"] == "7200"


async def test_an_address_that_is_refused_too_often_is_answered_unread_and_no_other():
    clock = Clock()
    async with listen(monotonic=clock, limit_refused=rate("1/s"), trusted_proxies=INSIDE) as listener:
        for _ in range(10):
            assert (await listener.post("code", headers=by(OTHER)))[0] == 401
        kept = len(listener.rejected)
        status, headers, answer = await listener.post("code", b"x" * (2 << 20), by(OTHER))
        assert (status, headers["Retry-After"], answer["type"]) == (429, "1", "/problems/refusals")
        assert (len(listener.rejected), listener.counted("code", "refusals")) == (kept, 1)
        assert listener.turned_away("refusals") == 1
        assert (await listener.post("helpdesk", headers=by(OTHER)))[0] == 401, "of another source nothing is known"
        assert (await listener.send("code", headers=by(VENDOR)))[0] == 202
        clock.now += 1_000
        assert (await listener.post("code", headers=by(OTHER)))[0] == 401
        assert (await listener.post("code", headers=by(OTHER)))[0] == 429


async def test_where_a_vendor_s_address_is_a_stranger_s_too_what_is_right_makes_up_for_what_is_wrong():
    async with listen(monotonic=Clock(), limit_refused=rate("1/s"), trusted_proxies=INSIDE) as listener:
        for number in range(40):
            assert (await listener.post("code", headers=by(VENDOR)))[0] == 401
            assert (await listener.send("code", headers=by(VENDOR), id_=str(number)))[0] in {200, 202}


async def test_neighbours_in_a_network_of_version_6_are_one_stranger():
    async with listen(monotonic=Clock(), limit_refused=rate("1/s"), trusted_proxies=INSIDE) as listener:
        answers = [(await listener.post("nothing", headers=by(f"2001:db8::{n:x}")))[0] for n in range(12)]
        assert answers == [404] * 10 + [429] * 2


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "fd00::1", "100.64.1.1"])
async def test_a_proxy_that_is_not_named_is_everybody_and_never_barred(address):
    async with listen(monotonic=Clock(), limit_refused=rate("1/s"), trusted_proxies=INSIDE) as listener:
        assert {(await listener.post("code", headers=by(address)))[0] for _ in range(15)} == {401}


async def test_only_networks_that_are_allowed_may_send():
    allow = (ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("2001:db8::/32"))
    async with listen(hooks=bounded(allow=allow), trusted_proxies=INSIDE) as listener:
        assert (await listener.send("code", headers=by(VENDOR)))[0] == 202
        assert (await listener.send("code", headers=by("2001:db8:7::1"), id_="2"))[0] == 202
        for address in (OTHER, "_hidden", f"{VENDOR}, {OTHER}"):
            status, _, answer = await listener.send("code", headers=by(address), id_="3")
            assert (status, answer["type"]) == (403, "/problems/address")
        assert listener.rejected[-1].reason == "address"
        assert listener.rejected[-1].size == 0, "nothing of it was read"
        assert len(listener.intake.events) == 2


async def test_an_address_that_a_stranger_claims_is_not_allowed():
    async with listen(hooks=bounded(allow=(ipaddress.ip_network("203.0.113.0/24"),))) as listener:
        assert (await listener.send("code", headers=by(VENDOR)))[0] == 403


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (DN, DN),
        ("/O=Vendor/CN=hooks.vendor.example", "/O=Vendor/CN=hooks.vendor.example"),
        (f'By=spiffe://a;Hash=ab;Subject="{DN}";URI=', DN),
        (f'Hash=1;Subject="CN=evil",Hash=2;Subject="{DN}"', DN),
        (f'Hash=1;Subject="{DN}",Hash=2;Subject="CN=evil"', "CN=evil"),
        (f'Hash=1;Subject="CN=evil\\",Subject=\\"{DN}"', f'CN=evil",Subject="{DN}'),
        ("Subject%3D%22CN%3Dhooks.vendor.example%2CO%3DVendor%22", DN),
        ("", ""),
    ],
)
def test_the_subject_as_proxies_write_it(value, shown):
    assert subject(value) == shown


@pytest.mark.parametrize("header", ["X-SSL-Client-S-DN", "X-Forwarded-Client-Cert"])
async def test_a_certificate_counts_only_by_the_word_of_a_trusted_proxy(header):
    hooks = bounded(certificate=ClientCertificate(header, (DN,)))
    value = f'Hash=1;Subject="{DN}"' if "Forwarded" in header else DN
    async with listen(hooks=hooks, trusted_proxies=INSIDE) as listener:
        assert (await listener.send("code", headers={header: value}))[0] == 202
        for wrong in ({}, {header: "CN=other"}, {header: ""}):
            status, _, answer = await listener.send("code", headers=wrong, id_="2")
            assert (status, answer["type"]) == (403, "/problems/client_cert")
    async with listen(hooks=hooks) as listener:
        assert (await listener.send("code", headers={header: value}))[0] == 403
        assert not listener.intake.events


async def test_a_source_may_take_larger_or_smaller_bodies_than_others():
    large = b'{"a": "' + b"x" * (1 << 20) + b'"}'
    async with listen(hooks=bounded(body=2 << 20)) as listener:
        assert (await listener.send("code", large))[0] == 202
        assert (await listener.post("open", large))[0] == 413
    async with listen(hooks=bounded(body=1 << 10)) as listener:
        assert (await listener.send("code", large))[0] == 413
        assert (await listener.post("code", b"x" * 1_025))[0] == 413
