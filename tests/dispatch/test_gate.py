"""While sending is paused one replica probes Cargo, and another when that one is gone; every pause ends."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from relay.dispatch import Gate, Policy, Refusal
from relay.errors import Denied, Permanent, Retryable, Unavailable, Unknown
from relay.life import Signals, Stop
from relay.limits import TROUBLED
from tests.virtual import milliseconds, virtually

POLICY = Policy(timeout=30_000, first=1_000, cap=60_000, give_up_after=600_000, settle=60_000, random=lambda: 0.5)
DENIED = Denied("no", status=401)


class Ledger:
    """The pauses and the one lease that replicas share. Its call number `fails` raises, before or after it is done."""

    def __init__(self, *reasons, fails=0, after=False):
        self.until = 0
        self.owner = None
        self.on = dict.fromkeys(reasons, 0)
        self.calls = 0
        self.fails = fails
        self.after = after

    def work_of(self, name):
        return Work(self, name)


class Work:
    """What one replica sees of it."""

    def __init__(self, ledger, name):
        self.ledger = ledger
        self.name = name

    async def pauses(self):
        return await self._do(lambda: dict(self.ledger.on))

    async def pause(self, reason):
        return await self._do(lambda: self.ledger.on.setdefault(reason, milliseconds()) == milliseconds())

    async def resume(self, reason):
        return await self._do(lambda: self.ledger.on.pop(reason, None) is not None)

    async def lease(self, name, ttl):
        def take():
            ledger = self.ledger
            if ledger.owner not in {self.name, None} and ledger.until > milliseconds():
                return False
            ledger.owner, ledger.until = self.name, milliseconds() + ttl
            return True

        return await self._do(take)

    async def release(self, name):
        def give():
            if self.ledger.owner == self.name:
                self.ledger.owner = None

        await self._do(give)

    async def _do(self, act):
        ledger = self.ledger
        ledger.calls += 1
        fails = ledger.calls == ledger.fails
        await asyncio.sleep(0)
        if fails and not ledger.after:
            raise Unavailable("away")
        answer = act()
        if fails:
            raise Unavailable("away, and done")
        return answer


class Chats:
    """Cargo, which answers probes with these, then well."""

    def __init__(self, *troubles):
        self.troubles = list(troubles)
        self.probed = []

    async def probe(self):
        self.probed.append(asyncio.current_task().get_name())
        if self.troubles:
            raise self.troubles.pop(0)


class Replica:
    """A gate that runs."""

    def __init__(self, ledger, chats, name, policy=POLICY):
        self.signals, self.stop = Signals(), Stop()
        self.gate = Gate(ledger.work_of(name), chats, policy, self.signals, boottime=milliseconds)
        self.task = asyncio.create_task(self.gate.run(self.stop), name=name)

    async def end(self):
        self.stop.begin(5)
        await self.task


async def opened(ledger, *replicas, within=600):
    """Wait until nothing is paused, in the ledger and for these."""
    async with asyncio.timeout(within):
        while ledger.on or any(replica.gate.paused for replica in replicas):
            await asyncio.sleep(0.1)


@virtually
async def test_a_probe_that_is_answered_ends_the_pause_and_the_worker_is_told():
    ledger, chats = Ledger("circuit"), Chats(Retryable("no route"), Unknown("timeout"), DENIED)
    one = Replica(ledger, chats, "one")
    await opened(ledger, one)
    assert (len(chats.probed), ledger.owner, one.signals.work.is_set) == (4, None, True)
    await one.end()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_after_an_outage_of_an_hour_calls_go_on_within_five_seconds(share):
    """However the jitter falls."""

    class Away(Chats):
        async def probe(self):
            if milliseconds() < 3_600_000:
                raise Unknown("500")

    @virtually
    async def live():
        ledger = Ledger("circuit")
        one = Replica(ledger, Away(), "one", replace(POLICY, random=lambda: share))
        two = Replica(ledger, Away(), "two", replace(POLICY, random=lambda: share))
        while one.gate.paused or two.gate.paused or milliseconds() < 3_600_000:
            await asyncio.sleep(0.1)
        assert milliseconds() - 3_600_000 <= 5_000 + 100
        await one.end()
        await two.end()

    live()


@virtually
async def test_while_one_probes_no_other_does():
    ledger, chats = Ledger("circuit"), Chats(*[Unknown("timeout")] * 20)
    one, two = Replica(ledger, chats, "one"), Replica(ledger, chats, "two")
    await opened(ledger, one, two)
    assert set(chats.probed) == {"one"}
    await one.end()
    await two.end()


@virtually
async def test_when_the_prober_dies_another_goes_on_after_the_wait_and_one_call():
    ledger, chats = Ledger("circuit"), Chats(Unknown("timeout"))
    one = Replica(ledger, chats, "one")
    while not chats.probed:
        await asyncio.sleep(0.1)
    left = ledger.until - milliseconds()
    one.task.cancel()
    await asyncio.wait({one.task})
    ledger.owner = "one"  # it dies, and gives nothing back
    assert left <= 1_500 + POLICY.lease
    began, two = milliseconds(), Replica(ledger, chats, "two")
    await opened(ledger, two)
    assert chats.probed == ["one", "two"]
    assert left <= milliseconds() - began <= left + 1_200
    await two.end()


@virtually
async def test_a_stop_gives_the_lease_back_at_once():
    ledger, chats = Ledger("circuit"), Chats(*[Unknown("timeout")] * 2)
    one = Replica(ledger, chats, "one")
    while not chats.probed:
        await asyncio.sleep(0.1)
    began = milliseconds()
    await one.end()
    assert (ledger.owner, milliseconds() - began) == (None, 0)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fails", range(1, 16))
def test_every_pause_ends_on_every_replica_whatever_call_of_the_ledger_fails(fails, after):
    @virtually
    async def live():
        ledger = Ledger(fails=fails, after=after)
        chats = Chats(Unknown("timeout"), Unknown("timeout"))
        one, two = Replica(ledger, chats, "one"), Replica(ledger, chats, "two")
        for number in range(TROUBLED):
            one.gate.trouble(f"d-{number}", Unknown("reset"))
        assert one.gate.room(8, 0) == 0, "at once, before the ledger knows"
        async with asyncio.timeout(30):
            while not two.gate.paused:
                await asyncio.sleep(0.1)
        await opened(ledger, one, two)
        assert (one.gate.room(8, 0), two.gate.room(8, 0)) == (1, 1), "one dispatch of each goes first"
        one.gate.succeed()
        assert one.gate.room(8, 0) == 8
        await one.end()
        await two.end()

    live()


@virtually
async def test_trouble_while_the_pauses_are_read_is_not_overwritten():
    ledger, reading, answer = Ledger(), asyncio.Event(), asyncio.Event()

    class Slow(Work):
        async def pauses(self):
            found = dict(self.ledger.on)
            reading.set()
            await answer.wait()
            return found

    signals = Signals()
    gate = Gate(Slow(ledger, "one"), Chats(), POLICY, signals, boottime=milliseconds)
    looking = asyncio.create_task(gate.turn())
    await reading.wait()
    for number in range(TROUBLED):
        gate.trouble(f"d-{number}", Unknown("reset"))
    answer.set()
    await looking
    assert gate.paused == ("circuit",)
    assert signals.pauses.is_set


@virtually
async def test_refused_credentials_are_global_only_when_the_list_refuses_them_too():
    for troubles, refusal in (([DENIED], Refusal.GLOBAL), ([Unknown("timeout")], Refusal.UNCLEAR), ([], Refusal.OWN)):
        gate = Gate(Ledger().work_of("one"), Chats(*troubles), POLICY, Signals(), boottime=milliseconds)
        assert await gate.judge(DENIED, since=0) is refusal
        assert gate.paused == (("unauthorized",) if refusal is Refusal.GLOBAL else ())


@virtually
async def test_what_a_former_token_was_refused_is_no_judgement_of_the_present_one():
    gate = Gate(Ledger().work_of("one"), Chats(), POLICY, Signals(), boottime=milliseconds)
    await asyncio.sleep(1)
    gate.renew()
    assert await gate.judge(DENIED, since=500) is Refusal.UNCLEAR
    assert await gate.judge(DENIED, since=1_001) is Refusal.OWN


@virtually
async def test_another_token_is_tried_at_once_however_long_the_former_one_was_refused():
    ledger, signals = Ledger("unauthorized"), Signals()
    chats = Chats(*[DENIED] * 8)
    gate, stop = Gate(ledger.work_of("one"), chats, POLICY, signals, boottime=milliseconds), Stop()
    running = asyncio.create_task(gate.run(stop))
    while chats.troubles:
        await asyncio.sleep(0.1)
    gate.renew()
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    assert ledger.on == {}
    stop.begin(1)
    await running


@virtually
async def test_other_permanent_answers_to_a_probe_do_not_end_a_pause():
    ledger, chats = Ledger("unauthorized"), Chats(Permanent("gone", status=404))
    one = Replica(ledger, chats, "one")
    await opened(ledger, one)
    assert len(chats.probed) == 2
    await one.end()


@virtually
async def test_a_token_that_is_refused_while_the_circuit_is_open_is_told():
    """Nothing is sent meanwhile, so that only the probes can tell."""
    ledger, chats = Ledger("circuit"), Chats(DENIED, DENIED, DENIED)
    with capture_logs() as lines:
        one = Replica(ledger, chats, "one")
        await opened(ledger, one)
        await one.end()
    paused = [line for line in lines if line["event"] == "cargo.paused"]
    assert [(line["reason"], line["log_level"]) for line in paused] == [("unauthorized", "error")]


async def open_again(replica, times):
    """Cargo answers probes and fails at every dispatch: how long each pause was, in seconds."""
    pauses = []
    for number in range(times):
        began = milliseconds()
        replica.gate.trouble(f"trial-{number}", Unknown("500"))
        async with asyncio.timeout(3_600):
            while not replica.gate.room(8, 0):
                await asyncio.sleep(0.1)
        assert replica.gate.room(8, 0) == 1, "one goes first"
        pauses.append((milliseconds() - began) / 1_000)
        await asyncio.sleep(0.3)
    return pauses


@virtually
async def test_a_circuit_that_opens_again_stays_open_twice_as_long_up_to_five_minutes():
    one = Replica(Ledger(), Chats(), "one")
    await asyncio.sleep(0.1)
    for number in range(TROUBLED - 1):
        one.gate.trouble(f"d-{number}", Unknown("500"))
    pauses = await open_again(one, 13)
    assert [round(pause) for pause in pauses] == [0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    one.gate.succeed()
    for number in range(TROUBLED - 1):
        one.gate.trouble(f"later-{number}", Unknown("500"))
    assert await open_again(one, 1) < [1], "a success in between: it is another trouble"
    await one.end()


@virtually
async def test_trouble_much_later_is_another_trouble():
    one = Replica(Ledger(), Chats(), "one")
    await asyncio.sleep(0.1)
    for number in range(TROUBLED - 1):
        one.gate.trouble(f"d-{number}", Unknown("500"))
    await open_again(one, 4)
    await asyncio.sleep(120)
    assert await open_again(one, 1) < [1]
    await one.end()
