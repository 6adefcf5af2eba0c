"""While sending is paused one replica probes Cargo, and another when that one is gone."""

import asyncio

import pytest

from relay.dispatch import Gate, Policy
from relay.errors import Denied, Retryable, Unknown

POLICY = Policy(timeout=30_000, first=1_000, cap=60_000, give_up_after=600_000, settle=60_000, random=lambda: 0.5)


class Ledger:
    """The pauses and the one lease that replicas share, on a clock that moves only while somebody sleeps."""

    def __init__(self):
        self.now = self.until = 0
        self.owner = None
        self.on = {"circuit": 0}

    def work_of(self, name):
        return Work(self, name)


class Work:
    """What one replica sees of it."""

    def __init__(self, ledger, name):
        self.ledger = ledger
        self.name = name

    async def pauses(self):
        return dict(self.ledger.on)

    async def resume(self, reason):
        return self.ledger.on.pop(reason, None) is not None

    async def lease(self, name, ttl):
        ledger = self.ledger
        if ledger.owner not in {self.name, None} and ledger.until > ledger.now:
            return False
        ledger.owner, ledger.until = self.name, ledger.now + ttl
        return True

    async def release(self, name):
        if self.ledger.owner == self.name:
            self.ledger.owner = None


class Chats:
    """Cargo, which answers probes with these, then well."""

    def __init__(self, *troubles):
        self.troubles = list(troubles)
        self.probed = []

    async def probe(self):
        self.probed.append(asyncio.current_task().get_name())
        if self.troubles:
            raise self.troubles.pop(0)


class Ended(Exception):
    """Enough was slept."""


def replica(ledger, chats, name, *, dies_after=None, sleeps=200):
    """A gate's `run` as a task; it stops, and nobody hears of it, in its `dies_after`-th sleep."""
    slept = 0

    async def sleep(seconds):
        nonlocal slept
        slept += 1
        if slept == dies_after:
            await asyncio.Event().wait()
        if slept > sleeps or not ledger.on:
            raise Ended
        ledger.now += int(seconds * 1_000)
        await asyncio.sleep(0)

    gate = Gate(ledger.work_of(name), chats, POLICY, sleep=sleep, opened=lambda: None)
    return asyncio.create_task(gate.run(), name=name)


async def over(task):
    with pytest.raises(Ended):
        async with asyncio.timeout(30):
            await task


async def test_a_probe_that_is_answered_ends_the_pause():
    ledger, chats = Ledger(), Chats(Retryable("no route"), Unknown("timeout"), Denied("no", status=401))
    await over(replica(ledger, chats, "one"))
    assert (len(chats.probed), ledger.on, ledger.owner) == (4, {}, None)


async def test_while_one_probes_no_other_does():
    ledger, chats = Ledger(), Chats(*[Unknown("timeout")] * 20)
    one = replica(ledger, chats, "one", sleeps=15)
    two = replica(ledger, chats, "two", sleeps=15)
    await over(one)
    await over(two)
    assert set(chats.probed) == {"one"}


async def test_when_the_prober_dies_another_goes_on_after_the_wait_and_one_call():
    ledger, chats = Ledger(), Chats(Unknown("timeout"))
    dying = replica(ledger, chats, "one", dies_after=1)
    while not chats.probed:
        await asyncio.sleep(0)
    left = ledger.until - ledger.now
    assert left <= 1_500 + POLICY.lease
    await over(replica(ledger, chats, "two"))
    assert (chats.probed, ledger.on) == (["one", "two"], {})
    assert left <= ledger.now <= left + 1_000
    dying.cancel()
