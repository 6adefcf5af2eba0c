"""Nothing unproved costs anything: what the event loop does for a refused request, whatever it is, counted and not
timed."""

import asyncio
from dataclasses import replace
from functools import cache

import pytest

from relay.effort import Heavy
from relay.errors import Rejected
from relay.hooks.app import _open
from relay.hooks.prove import prove
from relay.schemes import Headers, Request, diagnose, names, vendor
from tests.hooks import vendors
from tests.hooks.attacks import ATTACKS, LARGE, Loop, metered
from tests.hooks.listener import NOW, listen
from tests.schemes.cases import URL

SIZE = 64 << 10
PROVING = sorted(names() - {"none"})


@cache
def every_header():
    """The headers by which any scheme proves itself, each with a value that looks like a signature."""
    found = {}
    for name in sorted(names()):
        for proof in vendor(name).proof:
            if getattr(proof, "header", None):
                found[proof.header] = f"{getattr(proof, 'prefix', '') or ''}{'0' * 64}"
    return tuple(found.items())


def forgeries(name, attack):
    """The attack without a signature, and with the sender's of another body beside the headers of all others."""
    told = [("content-type", attack.content_type)]
    if attack.encoding:
        told.append(("content-encoding", attack.encoding))
    most = LARGE
    made = vendors.hook(name).scheme
    plain = Request("POST", URL, Headers(told), attack.body, NOW, most, made.lists, made.bodies)
    yield plain
    signed = vendors.sign(name, vendors.cases.request_of(name))
    kept = [pair for pair in signed.headers.flat() if pair[0] not in {"content-type", "content-encoding"}]
    names_kept = {pair[0] for pair in kept}
    small = len(attack.body) < 1_000  # of those that are tried in other forms, too, some are enough
    others = [pair for pair in every_header() if small and pair[0].lower() not in names_kept]
    yield replace(plain, url=signed.url, headers=Headers([*kept, *others, *told]))


async def no_fetch(url):
    raise Rejected("no", status=401, reason="certificate_wrong", hint="none")


async def refuse(hook, request, meter):
    """The way of a request at the door up to its refusal; what goes beside the loop goes no further."""
    aside = Loop(meter)
    try:
        scheme, greeting = await aside.run(lambda: _open(hook.scheme, request))
        if greeting is None:
            await prove(scheme, request, no_fetch, aside)
    except Rejected as error:
        diagnose(hook.spec, request, error)
    except Heavy:
        error = Rejected("wrong", status=401, reason="signature_wrong", hint="as it would be said")
        diagnose(hook.spec, request, error)


@pytest.mark.parametrize("name", PROVING)
def test_a_refused_request_costs_the_loop_next_to_nothing(name, monkeypatch):
    hook = vendors.hook(name)
    requests = [(attack, request) for attack in ATTACKS for request in forgeries(name, attack)]

    async def judge(meter):
        for attack, request in requests:
            meter.reset()
            await refuse(hook, request, meter)
            told = (attack.name, request.headers, meter)
            assert meter.inflated <= SIZE + 1, told
            assert meter.parsed <= 2 * SIZE, told
            assert meter.values <= 6_500, told
            assert meter.signatures <= 40, told
            assert meter.hashed <= 3 * LARGE, told

    with metered(monkeypatch) as meter:
        asyncio.run(judge(meter))


def test_the_meter_sees_what_is_read(monkeypatch):
    """Of a scheme that looks into bodies something is parsed: else the test above could not fail."""
    small = next(one for one in ATTACKS if one.name == "blanks 15 KiB gzip")
    seen = []
    for name in ("ms-graph", "slack", "zoho"):
        with metered(monkeypatch) as meter:
            asyncio.run(refuse(vendors.hook(name), next(forgeries(name, small)), meter))
        seen.append((name, meter.inflated > 10_000, meter.parsed > 10_000))
    assert seen == [("ms-graph", True, True), ("slack", True, True), ("zoho", True, True)]


@pytest.mark.parametrize("name", ["ms-graph", "zoho", "aws-sns", "twilio", "mailgun"])
def test_what_was_read_beside_the_loop_is_not_read_again(name, monkeypatch):
    """The tree that a proof needs is known to what comes after it, the diagnosis too."""
    hook = vendors.hook(name)
    for attack in (one for one in ATTACKS if one.name in {"lists 64 KiB", "fields 64 KiB", "objects 1024 KiB gzip"}):
        request = next(forgeries(name, attack))
        with pytest.raises(Rejected) as caught:
            hook.scheme.of(request).verify(request)
        with metered(monkeypatch) as meter:
            diagnose(hook.spec, request, caught.value)
        assert (meter.inflated, meter.parsed) == (0, 0)


async def test_honest_senders_are_answered_beside_an_attack():
    """Large bodies of a sender whose proof is inside are read elsewhere, and are taken when they are right."""
    attacked = {name: vendors.hook(name) for name in ("ms-graph", "slack", "github")}
    async with listen(hooks=attacked) as listener:
        bombs = [one for one in ATTACKS if one.encoding and "1024" in one.name]

        async def attack(name, bomb):
            headers = {"Content-Type": bomb.content_type, "Content-Encoding": "gzip"}
            return (await listener.post(name, bomb.body, headers))[0]

        async def honest():
            made = vendors.sign("github", vendors.request(listener, "github"))
            return (await vendors.post(listener, made))[0]

        flood = [attack(name, bomb) for name in attacked for bomb in bombs]
        answers = await asyncio.gather(*flood, honest(), honest())
        assert sorted(answers[-2:]) == [200, 202]
        assert not {202, 500} & set(answers[:-2])
