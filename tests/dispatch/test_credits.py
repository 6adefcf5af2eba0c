"""`CreditWatch`: when Cargo is asked what the chats of a day have cost, and for which rules."""

import pytest
from structlog.testing import capture_logs

from relay.dispatch import CreditWatch
from relay.errors import Unknown
from relay.ledger import SqlLedger, Terms
from relay.ledger.engine import migrate
from relay.ledger.engine.sqlite import SqliteStore
from relay.model import Chat, Page, Usage
from tests.ledger.build import make_entry

MINUTE, DAY = 60_000, 86_400_000
NOON = 1_800_000_000_000 // DAY * DAY + DAY // 2


class Clock:
    now = NOON

    def __call__(self, *_):
        return self.now


class Open:
    paused = ()


class Cargo:
    """A list of chats, two to a page, and who asked for it."""

    def __init__(self):
        self.listed = []
        self.asked = []
        self.broken = False

    async def chats(self, trigger_type, after, before, offset):
        self.asked.append((trigger_type, after, before, offset))
        if self.broken:
            raise Unknown("no answer")
        rows = [chat for chat in self.listed if chat.trigger_type == trigger_type][offset : offset + 2]
        return Page(tuple(rows), len(rows))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cargo():
    return Cargo()


@pytest.fixture
async def ledgers(tmp_path, clock):
    store = SqliteStore(str(tmp_path / "relay.db"), clock=clock)
    await store.write(migrate.upgrade)
    made = [SqlLedger(store, Terms(owner=name)) for name in ("one", "two")]
    yield made
    await made[1]._committer.aclose()
    await made[0].aclose()


def watch(ledger, cargo, clock, gate=Open):
    return CreditWatch(ledger, ledger, cargo, gate, lambda: {"connector"}, clock=clock, boottime=clock)


async def stamps(ledger, rule, count):
    """Stamps of dispatches of a rule."""
    entries = [make_entry(rules=(rule,)) for _ in range(count)]
    await ledger.accept(entries)
    await ledger.count({("rule", rule): {"chats": count}})
    return [(entry.dispatches[0].id, 1) for entry in entries]


def chat(name, stamp, credits_used, *, at=NOON, trigger_type="connector"):
    return Chat(name, at, trigger_type=trigger_type, stamp=stamp, credits_used=credits_used)


async def used(ledger, clock):
    rows = await ledger.used(0, clock.now + 1)
    return {(row.day, row.rule): row.credits for row in rows if row.credits is not None}


async def test_credits_are_summed_by_the_rule_of_the_stamp(ledgers, cargo, clock):
    ledger = ledgers[0]
    first, second = await stamps(ledger, "a", 2)
    [third] = await stamps(ledger, "b", 1)
    cargo.listed = [
        chat("1", first, 1.5),
        chat("2", second, 2),
        chat("3", third, None),
        chat("by hand", None, 50),
        chat("of another relay", ("gone", 1), 70),
        chat("of yesterday", first, 90, at=NOON - DAY),
    ]
    await watch(ledger, cargo, clock).turn()
    today = NOON - DAY // 2
    assert await used(ledger, clock) == {(today, "a"): 3.5, (today, "b"): 0.0}
    assert {asked[1:3] for asked in cargo.asked} == {(today, today + DAY)}
    assert await ledger.used(today, NOON) == [Usage(today, "a", 2, 3.5, NOON), Usage(today, "b", 1, 0.0, NOON)]


async def test_one_replica_asks_in_fifteen_minutes_and_none_during_a_pause(ledgers, cargo, clock):
    [stamp] = await stamps(ledgers[0], "a", 1)
    cargo.listed = [chat("1", stamp, 1)]
    one, two = (watch(ledger, cargo, clock) for ledger in ledgers)

    class Shut:
        paused = ("unauthorized",)

    await watch(ledgers[0], cargo, clock, Shut).turn()
    assert cargo.asked == []
    await one.turn()
    count = len(cargo.asked)
    assert count == 2
    clock.now += 14 * MINUTE
    await one.turn()
    await two.turn()
    assert len(cargo.asked) == count
    clock.now += MINUTE
    await two.turn()
    assert len(cargo.asked) == 2 * count


async def test_where_no_rule_was_at_work_nothing_is_asked(ledgers, cargo, clock):
    watched = watch(ledgers[0], cargo, clock)
    await watched.turn()
    assert cargo.asked == []
    await stamps(ledgers[0], "a", 1)
    await watched.turn()
    assert cargo.asked != []


async def test_what_was_made_before_midnight_is_read_once_more_after_it(ledgers, cargo, clock):
    ledger = ledgers[0]
    [stamp] = await stamps(ledger, "a", 1)
    midnight = NOON + DAY // 2
    cargo.listed = [chat("1", stamp, 1, at=midnight - MINUTE)]
    watched = watch(ledger, cargo, clock)
    clock.now = midnight + 30 * MINUTE
    await watched.turn()
    cargo.listed = [chat("1", stamp, 9, at=midnight - MINUTE)]
    clock.now = midnight + 110 * MINUTE
    await watched.turn()
    assert await used(ledger, clock) == {(midnight - DAY, "a"): 9.0}


async def test_what_cannot_be_asked_is_told_once_and_keeps_the_last_number(ledgers, cargo, clock):
    ledger = ledgers[0]
    [stamp] = await stamps(ledger, "a", 1)
    cargo.listed = [chat("1", stamp, 1)]
    watched = watch(ledger, cargo, clock)
    await watched.turn()
    cargo.broken = True
    with capture_logs() as logs:
        for _ in range(3):
            clock.now += 15 * MINUTE
            await watched.turn()
    assert [line["event"] for line in logs] == ["usage.unasked"]
    assert set((await used(ledger, clock)).values()) == {1.0}
