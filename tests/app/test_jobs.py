"""A replay of many events as a part of the relay: turn by turn, on an embedded ledger."""

import asyncio
from collections import Counter

import pytest
from structlog.testing import capture_logs

from relay.errors import Unavailable
from relay.intake import JobRunner
from relay.ledger import SqlLedger, Terms
from relay.ledger.queries import jobs as queries
from relay.life import Signals, Stop
from relay.model import JobState, ReplayAim, new_id
from relay.rules import RuleSpec, compile_rules, make_version, rule_text
from relay.telemetry import Metrics
from tests.ledger.build import made_at, make_entry

SINCE = 1_700_000_000_000
CHAT = {"trigger": {"type": "draft"}, "name": "{{ data.ticket | string }}"}


def rules(*names, chat=CHAT):
    versions = [make_version(name, rule_text({"name": name, "chat": chat}), {}) for name in names]
    return compile_rules([RuleSpec(name, chat=chat) for name in names], {}, versions)


class Bench:
    """A runner on a ledger; its clock moves only by hand."""

    def __init__(self, ledger, *names, chat=CHAT):
        self.ledger, self.now, self.signals = ledger, 0, Signals()
        self.metrics = Metrics()
        self.rules = rules(*(names or ("urgent",)), chat=chat)
        self.runner = self.another()

    def another(self, ledger=None):
        return JobRunner(
            ledger or self.ledger,
            lambda: self.rules,
            self.signals,
            ids=new_id,
            clock=lambda: SINCE,
            boottime=lambda: self.now,
            metrics=self.metrics,
        )

    async def fill(self, count, **rest):
        for number in range(count):
            await self.ledger.accept([made_at(SINCE + number, make_entry(rules=(), **rest))])

    async def start(self, **aim):
        return await self.ledger.start_job(new_id(), "replay", ReplayAim(SINCE, SINCE + 1_000, **aim), "local")

    async def turn(self, times=1):
        return [await self.runner.turn() for _ in range(times)]


@pytest.fixture
def bench(ledger):
    return Bench(ledger)


async def test_it_does_one_event_a_turn_to_the_end(bench, ledger):
    await bench.fill(3)
    job = await bench.start()
    await bench.turn(4)
    ended = await ledger.job(job.id)
    assert (ended.state, ended.done, ended.made) == (JobState.DONE, 3, 3)
    assert bench.signals.work.is_set
    claims = await ledger.claim(10)
    assert Counter(claim.dispatch.rule for claim in claims) == {"urgent": 3}


@pytest.mark.parametrize("dry", [False, True])
async def test_what_cannot_be_rendered_is_a_failed_chat_and_a_problem_unless_it_is_only_tried(ledger, dry):
    bench = Bench(ledger, chat=CHAT | {"name": "{{ data.gone }}"})
    await bench.fill(2)
    await bench.start(dry=dry)
    with capture_logs() as lines:
        await bench.turn(3)
    failed = [] if dry else [("failures", None, "urgent", "render", "data.gone")]
    seen = bench.metrics.problems.take().seen
    assert list(seen) == failed
    assert [line["rule"] for line in lines if line["event"] == "chat.failed"] == ["urgent"] * 2 * len(failed)
    labels = {"rule": "urgent", "outcome": "failed"}
    assert (bench.metrics.registry.get_sample_value("relay_chats_total", labels) or 0) == 2 * len(failed)


async def test_what_it_makes_has_its_turn_after_what_comes_in(bench, ledger):
    await bench.fill(1)
    await bench.start()
    await bench.turn()
    await ledger.accept([make_entry(rules=("live",))])
    [first] = await ledger.claim(1)
    assert first.dispatch.rule == "live"


async def test_it_waits_while_other_work_is_due(bench, ledger, monkeypatch):
    monkeypatch.setattr(queries, "MANY", 1)
    await bench.fill(1)
    job = await bench.start()
    await ledger.accept([make_entry(rules=("live",))])
    await bench.turn(3)
    assert (await ledger.job(job.id)).done == 0
    await ledger.claim(10)
    await bench.turn()
    assert (await ledger.job(job.id)).done == 1


async def test_a_rate_is_kept(bench, ledger):
    await bench.fill(3)
    job = await bench.start(spacing=200.0)
    assert await bench.turn() == [pytest.approx(0.2)]
    bench.now += 150
    assert await bench.turn() == [pytest.approx(0.05)]
    assert (await ledger.job(job.id)).done == 1
    bench.now += 50
    await bench.turn()
    assert (await ledger.job(job.id)).done == 2


async def test_one_rule_alone_makes_chats(ledger):
    bench = Bench(ledger, "urgent", "big")
    await bench.fill(1)
    job = await bench.start(rule="big")
    await bench.turn()
    assert (await ledger.job(job.id)).rules == {"big": 1}


async def test_a_rule_that_is_gone_ends_the_job_and_says_so(bench, ledger):
    await bench.fill(1)
    job = await bench.start(rule="gone")
    await bench.turn()
    ended = await ledger.job(job.id)
    assert (ended.state, ended.fault) == (JobState.FAILED, 'there is no rule "gone" in the configuration now')


async def test_what_fails_at_one_event_is_told_and_the_others_go_on(ledger):
    bench = Bench(ledger, chat={"trigger": {"type": "draft"}, "name": "{{ data.gone }}"})
    await bench.fill(1)
    await bench.fill(1, body={"gone": "x"})
    job = await bench.start()
    await bench.turn(3)
    ended = await ledger.job(job.id)
    assert (ended.state, ended.done, ended.made, ended.failed) == (JobState.DONE, 2, 1, 1)
    assert "data.gone is missing" in ended.fault


async def test_another_goes_on_where_the_first_was_when_its_lease_is_over(bench, ledger):
    await bench.fill(2)
    job = await bench.start()
    await bench.turn()
    again = bench.another()
    await again.turn()
    await again.turn()
    ended = await ledger.job(job.id)
    assert (ended.state, ended.made) == (JobState.DONE, 2)
    assert len(await ledger.claim(10)) == 2


class Away:
    """A ledger whose next call of one method fails, after or before it was done."""

    def __init__(self, ledger, method, *, after):
        self._ledger, self._method, self._after = ledger, method, after

    def __getattr__(self, name):
        real = getattr(self._ledger, name)
        if name != self._method:
            return real

        async def fail(*args):
            if self._after:
                await real(*args)
            raise Unavailable("the connection broke")

        return fail


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["running_jobs", "lease", "is_busy", "next_event", "load", "advance"])
async def test_an_event_is_done_once_wherever_the_ledger_goes_away(bench, ledger, method, after):
    await bench.fill(2)
    job = await bench.start()
    with pytest.raises(Unavailable):
        await bench.another(Away(ledger, method, after=after)).turn()
    await bench.turn(3)
    ended = await ledger.job(job.id)
    assert (ended.state, ended.done, ended.made) == (JobState.DONE, 2, 2)
    assert len(await ledger.claim(10)) == 2


async def test_it_runs_until_it_is_stopped_and_gives_its_lease_back(bench, ledger):
    await bench.fill(2)
    job = await bench.start()
    stop = Stop()
    running = asyncio.create_task(bench.runner.run(stop))
    async with asyncio.timeout(20):
        while (await ledger.job(job.id)).state is JobState.RUNNING:
            await asyncio.sleep(0)
    await bench.start()
    bench.signals.jobs.set()
    stop.begin(1)
    await running
    assert await SqlLedger(ledger._store, Terms(owner="two")).lease("jobs", 1_000)
