"""The part that writes problems, on virtual time: soon, with true times, nothing lost and nothing told twice."""

import asyncio

import pytest
from structlog.testing import capture_logs

from relay.errors import Unavailable
from relay.ledger import SqlLedger, Terms
from relay.life import Signals, Stop
from relay.model import ProblemKind, ProblemQuery, ProblemState, Settled
from relay.problems import Watcher
from relay.telemetry import Metrics, PartState, Status
from tests.dispatch.relays import START, open_store
from tests.ledger.build import created, make_entry
from tests.virtual import milliseconds, virtually


class Ledger:
    """A ledger that can be away."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def watch(self, sightings, watched):
        await self.answers.wait()
        if self.away:
            raise Unavailable("no route")
        return await self.ledger.watch(sightings, watched)


class Relay:
    """The part, its surroundings, and the clock of the database, which follows the loop's."""

    def __init__(self, store, owner="one", **rest):
        self.sql = SqlLedger(store, Terms(owner=owner))
        self.ledger = Ledger(self.sql)
        self.metrics = Metrics(milliseconds)
        self.status = Status(wall, asyncio.get_running_loop().time)
        self.signals = Signals()
        self.stop = Stop()
        clocks = {"clock": wall, "boottime": milliseconds}
        rest = {"expect": {}, "backlog": 300_000, "sources": {"crm", "shop"}, "rules": {"urgent"}} | rest
        self.watcher = Watcher(self.ledger, self.metrics, self.status, self.signals, **clocks, **rest)
        self.counts = self.metrics.problems
        self.task = asyncio.create_task(self.watcher.run(self.stop))

    async def end(self):
        self.stop.begin(1)
        await self.task

    async def problems(self):
        return (await self.sql.problems(ProblemQuery())).problems


def wall():
    return START + milliseconds()


async def open_relay(**rest):
    store = await open_store()
    store._clock = wall
    return Relay(store, **rest)


@virtually
async def test_what_is_counted_is_written_within_a_second_and_at_a_stop():
    relay = await open_relay()
    await asyncio.sleep(0.3)
    for _ in range(1_000):
        relay.counts.saw("failures", rule="urgent", code="render", event_id="e-1", dispatch_id="d-1")
    await asyncio.sleep(1)
    [problem] = await relay.problems()
    assert (problem.count, problem.event_id, problem.first_at) == (1_000, "e-1", START + 300)
    relay.counts.saw("failures", rule="urgent", code="render")
    await relay.end()
    assert (await relay.problems())[0].count == 1_001


@virtually
async def test_what_the_ledger_does_not_take_is_kept_with_its_times():
    relay = await open_relay()
    relay.ledger.away = True
    for _ in range(10):
        relay.counts.saw("rejections", source="shop", code="method")
        await asyncio.sleep(1)
    relay.ledger.away = False
    await asyncio.sleep(1)
    [problem] = await relay.problems()
    assert (problem.count, problem.first_at, problem.last_at) == (10, START, START + 9_000)
    await relay.end()


@virtually
async def test_a_ledger_that_is_away_is_shown_at_once_and_written_when_it_is_back():
    relay = await open_relay()
    await asyncio.sleep(5)
    with capture_logs() as lines:
        relay.ledger.away = True
        await asyncio.sleep(29)
        assert relay.status.problems == ()
        await asyncio.sleep(3)
        [shown] = relay.status.problems
        assert (shown["kind"], shown["state"], shown["id"]) == ("ledger", "open", "")
        await asyncio.sleep(600)
    assert [line["kind"] for line in lines if line["event"] == "problem.opened"] == ["ledger"]
    relay.ledger.away = False
    await asyncio.sleep(2)
    [problem] = await relay.problems()
    assert (problem.key.kind, problem.state) == (ProblemKind.LEDGER, ProblemState.RESOLVED)
    assert abs(problem.first_at - (START + 5_000)) <= 1_000
    assert abs(problem.last_at - wall()) <= 2_000
    assert relay.status.problems == ()
    await asyncio.sleep(601)
    assert [result.id.rpartition(".")[2] for _, result in await relay.sql.follow(0, 9)] == ["opened", "resolved"]
    assert relay.metrics.registry.get_sample_value("relay_problems", {"kind": "ledger", "state": "open"}) == 0
    await relay.end()


@virtually
async def test_a_ledger_that_takes_no_writes_is_away():
    relay = await open_relay()
    relay.status.set("ledger", PartState.DOWN, "the disk is full")
    await asyncio.sleep(32)
    assert [problem["kind"] for problem in relay.status.problems] == ["ledger"]
    assert await relay.problems() == ()
    relay.status.set("ledger", PartState.UP)
    await asyncio.sleep(2)
    assert [problem.state for problem in await relay.problems()] == [ProblemState.RESOLVED]
    await relay.end()


@virtually
async def test_an_outage_that_ends_while_a_turn_waits_for_the_ledger_is_written():
    relay = await open_relay()
    await asyncio.sleep(3.5)
    relay.status.set("ledger", PartState.DOWN, "no route")
    relay.ledger.away = True
    await asyncio.sleep(60)
    relay.ledger.answers.clear()
    await asyncio.sleep(5)
    relay.ledger.away = False
    relay.status.set("ledger", PartState.UP)
    relay.ledger.answers.set()
    await asyncio.sleep(2)
    await _holds_one_outage(relay, START + 4_000, START + 69_000)
    await relay.end()


@virtually
async def test_an_outage_that_becomes_long_while_a_turn_waits_for_the_ledger_is_written_even_at_a_stop():
    relay = await open_relay()
    await asyncio.sleep(3.5)
    relay.ledger.away = True
    await asyncio.sleep(25)
    relay.ledger.answers.clear()
    await asyncio.sleep(10)
    relay.ledger.away = False
    relay.stop.begin(5)
    relay.ledger.answers.set()
    await relay.task
    await _holds_one_outage(relay, START + 4_000, START + 39_000)


async def _holds_one_outage(relay, first_at, last_at):
    [problem] = await relay.problems()
    assert (problem.key.kind, problem.state) == (ProblemKind.LEDGER, ProblemState.RESOLVED)
    assert (abs(problem.first_at - first_at) <= 1_000, abs(problem.last_at - last_at) <= 2_000) == (True, True)


@virtually
async def test_a_ledger_that_was_away_at_the_start_is_told():
    relay = await open_relay(away=45_000)
    await asyncio.sleep(1)
    [problem] = await relay.problems()
    assert (problem.key.kind, problem.last_at - problem.first_at) == (ProblemKind.LEDGER, 45_000)
    await relay.end()


@virtually
async def test_a_broker_that_is_away_is_a_problem_after_half_a_minute_until_it_is_back():
    relay = await open_relay()
    relay.status.set("broker", PartState.DOWN, "connection refused")
    await asyncio.sleep(29)
    assert await relay.problems() == ()
    await asyncio.sleep(3)
    [problem] = await relay.problems()
    assert (problem.key.code, problem.first_at) == ("away", START)
    await asyncio.sleep(3_600)
    [problem] = await relay.problems()
    assert (problem.state, problem.count) == (ProblemState.OPEN, 1)
    relay.status.set("broker", PartState.UP)
    await asyncio.sleep(17)
    assert (await relay.problems())[0].state is ProblemState.RESOLVED
    await relay.end()


@virtually
async def test_results_that_nobody_takes_are_a_problem_until_one_is_taken():
    relay = await open_relay()
    await relay.sql.accept([make_entry()])
    [claim] = await relay.sql.claim(1)
    await relay.sql.record(created(claim))
    [due] = await relay.sql.due(1)
    await relay.sql.settle(Settled(due.result.id, "", confirmed=False, retry_in=60_000, error="unroutable: no queue"))
    relay.counts.unroutable("unroutable")
    await asyncio.sleep(600)
    [problem] = await relay.problems()
    assert (problem.key.code, problem.state) == ("unroutable", ProblemState.OPEN)
    await relay.sql.settle(Settled(due.result.id, "", confirmed=True))
    await asyncio.sleep(6)
    assert (await relay.problems())[0].state is ProblemState.RESOLVED
    await relay.end()


@virtually
async def test_loop_and_reload_open_and_end():
    relay = await open_relay()
    relay.counts.looped("urgent", "4711", 30_000, "e-1", "d-1")
    relay.counts.reload_refused("relay.yaml:3:5: cargo: unknown key")
    await asyncio.sleep(1)
    found = {problem.key.kind: problem for problem in await relay.problems()}
    assert found[ProblemKind.RELOAD].key.detail == "relay.yaml:3:5: cargo: unknown key"
    assert found[ProblemKind.LOOP].key.detail == "4711"
    await asyncio.sleep(20)
    assert _open(await relay.problems()) == {ProblemKind.LOOP, ProblemKind.RELOAD}
    relay.counts.reloaded()
    await asyncio.sleep(20)
    assert _open(await relay.problems()) == set()
    await relay.end()


@virtually
async def test_a_reload_that_one_replica_refused_is_a_problem_until_none_refuses_it():
    """Whatever the others have in force: one has read another file, lacks a variable, or is the last of a rollout."""
    store = await open_store()
    store._clock = wall
    relays = [Relay(store, owner=name) for name in ("one", "two", "three")]
    for relay in relays:
        relay.counts.reload_refused("relay.yaml:3:5: cargo: unknown key")
    await asyncio.sleep(1)
    with capture_logs() as lines:
        for relay in relays[:2]:
            relay.counts.reloaded()
        await asyncio.sleep(700)
        assert _open(await relay.problems()) == {ProblemKind.RELOAD}
        relays[2].counts.reloaded()
        await asyncio.sleep(16)
        assert _open(await relay.problems()) == set()
    assert [line["event"] for line in lines if line["event"].startswith("problem.")] == ["problem.resolved"]
    assert [result.id.rpartition(".")[2] for _, result in await relay.sql.follow(0, 9)] == ["opened", "resolved"]
    for relay in relays:
        await relay.end()


def _open(problems):
    return {problem.key.kind for problem in problems if problem.state is ProblemState.OPEN}


@virtually
async def test_a_problem_is_resolved_by_a_success_and_an_hour_of_quiet():
    relay = await open_relay()
    relay.counts.saw("failures", rule="urgent", code="render")
    await asyncio.sleep(2)
    for _ in range(3_602):
        relay.metrics.chat("urgent", "created")
        await asyncio.sleep(1)
    assert (await relay.problems())[0].state is ProblemState.RESOLVED
    await relay.end()


@virtually
async def test_silence_is_looked_for_as_configured_and_reconfigured():
    relay = await open_relay(expect={"shop": 60_000})
    await asyncio.sleep(62)
    assert [problem.key.source for problem in await relay.problems()] == ["shop"]
    relay.watcher.expect = {}
    await asyncio.sleep(31)
    assert (await relay.problems())[0].state is ProblemState.RESOLVED
    await relay.end()


@virtually
async def test_opening_and_resolving_is_logged_once_counted_and_wakes_who_tells():
    relay = await open_relay()
    relay.signals.results.clear()
    with capture_logs() as lines:
        relay.counts.reload_refused("relay.yaml:1: no")
        await asyncio.sleep(1)
        labels = {"kind": "reload", "state": "open"}
        assert relay.metrics.registry.get_sample_value("relay_problems", labels) == 1
        assert relay.signals.results.is_set
        assert relay.signals.alerts.is_set
        relay.counts.reloaded()
        await asyncio.sleep(60)
    names = [line["event"] for line in lines if line["event"].startswith("problem.")]
    assert names == ["problem.opened", "problem.resolved"]
    await relay.end()


@virtually
async def test_an_error_that_nobody_foresaw_loses_no_count():
    relay = await open_relay()
    await asyncio.sleep(0.5)

    async def fail(*_):
        raise RuntimeError("bug")

    right, relay.ledger.watch = relay.ledger.watch, fail
    relay.counts.reload_refused("relay.yaml:1: no")
    with pytest.raises(RuntimeError):
        await relay.task
    relay.ledger.watch = right
    relay.task = asyncio.create_task(relay.watcher.run(relay.stop))
    await asyncio.sleep(1)
    assert len(await relay.problems()) == 1
    await relay.end()
