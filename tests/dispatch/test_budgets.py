"""`BudgetWatch`: when Cargo is asked for credits, and what is told of a budget."""

import pytest
import structlog

from relay.dispatch import BudgetWatch
from relay.errors import Retryable
from relay.ledger import SqlLedger, Terms
from relay.ledger.engine import migrate
from relay.ledger.engine.sqlite import SqliteStore
from relay.model import Chat, Page
from relay.telemetry import Metrics
from tests.ledger.build import created, make_chat, make_entry

DAY, SECOND = 86_400_000, 1_000
PLAN = {"key": None, "chats": None, "credits": [100, "d"], "warn": 0.8, "then": "hold", "zone": "UTC"}


class Clock:
    now = 20_000 * DAY + 3_600_000

    def __call__(self, *_):
        return self.now


class Cargo:
    """Lists chats two at a time, with the credits that a test gives."""

    def __init__(self):
        self.credits, self.asked, self.error = {}, [], None

    async def chats(self, trigger_type, after, before, offset):
        self.asked.append((trigger_type, offset))
        if self.error:
            raise self.error
        rows = [Chat(uuid, after, credits_used=used) for uuid, used in self.credits.items()][offset : offset + 2]
        return Page(tuple(rows), len(rows))


class Open:
    paused = ()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def ledgers(tmp_path, clock):
    store = SqliteStore(str(tmp_path / "relay.db"), clock=clock)
    await store.write(migrate.upgrade)
    made = [SqlLedger(store, Terms(owner=name)) for name in ("one", "two")]
    yield made
    await made[1]._committer.aclose()
    await made[0].aclose()


@pytest.fixture
def cargo():
    return Cargo()


def watch(ledger, cargo, clock, plan=PLAN, metrics=None):
    metrics = metrics or Metrics()
    return BudgetWatch(ledger, cargo, Open, lambda: {"urgent": plan}, boottime=clock, metrics=metrics)


async def make(ledger, *uuids, rule="urgent"):
    for uuid in uuids:
        await ledger.accept([make_entry(rules=(rule,))])
        [claim] = await ledger.claim(1)
        await ledger.record(created(claim, make_chat(uuid)))


async def share(ledger):
    return (await ledger.measure("urgent", PLAN, None)).shares["credits"]


async def test_credits_are_the_sum_over_the_chats_of_the_rule(ledgers, cargo, clock):
    ledger, metrics = ledgers[0], Metrics()
    cargo.credits = {f"other-{number}": 50 for number in range(5)} | {"a": 20.5, "b": 10, "c": None}
    await make(ledger, "a", "b", "c")
    await make(ledger, "other-0", rule="another")
    await watch(ledger, cargo, clock, metrics=metrics).turn()
    assert await share(ledger) == 0.305
    assert [offset for _, offset in cargo.asked] == [0, 2, 4, 6]
    assert metrics.registry.get_sample_value("relay_budget_used_ratio", {"rule": "urgent", "of": "credits"}) == 0.305


async def test_a_rule_that_made_no_chat_asks_nothing_until_it_has(ledgers, cargo, clock):
    watched = watch(ledgers[0], cargo, clock)
    await watched.turn()
    assert cargo.asked == []
    await make(ledgers[0], "a")
    clock.now += 30 * SECOND
    await watched.turn()
    assert cargo.asked != []


async def test_credits_are_asked_every_five_minutes_and_every_30_s_past_the_warning(ledgers, cargo, clock):
    ledger = ledgers[0]
    watched = watch(ledger, cargo, clock)
    cargo.credits = {"a": 1}
    await make(ledger, "a")

    async def asked_within(seconds):
        cargo.asked.clear()
        for _ in range(seconds // 5):
            clock.now += 5 * SECOND
            await watched.turn()
        return len(cargo.asked)

    await watched.turn()
    assert await asked_within(280) == 0
    assert await asked_within(20) == 1
    cargo.credits = {"a": 80}
    assert await asked_within(300) >= 1
    assert await asked_within(120) in {4, 5}


async def test_one_replica_asks_and_each_level_is_logged_once(ledgers, cargo, clock):
    watched = [watch(ledger, cargo, clock) for ledger in ledgers]
    await make(ledgers[0], "a")
    with structlog.testing.capture_logs() as logs:
        for used in (85, 100, 120):
            cargo.credits = {"a": used}
            for _ in range(12):
                clock.now += 5 * SECOND
                for each in watched:
                    await each.turn()
    assert [line["event"] for line in logs] == ["budget.warned", "budget.spent"]
    assert logs[0]["credits_used"] == "85% of 100/d"
    assert logs[0]["rule"] == "urgent"
    assert len(cargo.asked) <= 8


async def test_what_cannot_be_asked_keeps_the_last_number_and_is_logged_once(ledgers, cargo, clock):
    ledger = ledgers[0]
    watched = watch(ledger, cargo, clock)
    cargo.credits = {"a": 40}
    await make(ledger, "a")
    await watched.turn()
    cargo.error = Retryable("away")
    with structlog.testing.capture_logs() as logs:
        for _ in range(100):
            clock.now += 5 * SECOND
            await watched.turn()
    assert [line["event"] for line in logs] == ["budget.unasked"]
    assert await share(ledger) == 0.4
    cargo.error, cargo.credits = None, {"a": 60}
    for _ in range(8):
        clock.now += 5 * SECOND
        await watched.turn()
    assert await share(ledger) == 0.6


async def test_a_list_without_an_end_is_left(ledgers, cargo, clock):
    ledger = ledgers[0]
    await make(ledger, "a")

    async def chats(trigger_type, after, before, offset):
        return Page((), 50_000)

    cargo.chats = chats
    await watch(ledger, cargo, clock).turn()
    assert await share(ledger) == 0


async def test_a_budget_that_a_reload_took_away_has_no_series_any_more(ledgers, cargo, clock):
    """Else its alert would go on until the relay is started anew."""
    metrics, plans = Metrics(), {"urgent": PLAN | {"chats": [10, "d"]}, "gone": PLAN}
    watched = BudgetWatch(ledgers[0], cargo, Open, lambda: plans, boottime=clock, metrics=metrics)
    await watched.turn()
    del plans["gone"]
    plans["urgent"] = PLAN
    await watched.turn()
    shown = [sample.labels for family in metrics.budget.collect() for sample in family.samples]
    assert shown == [{"rule": "urgent", "of": "credits"}]
