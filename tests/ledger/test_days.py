"""Partitions of days on PostgreSQL: what is dropped with them is what pruning by rows deletes, and nothing else."""

import re
from dataclasses import replace
from functools import partial

import asyncpg
import pytest
from sqlalchemy import select

from relay.ledger import SqlLedger, Terms
from relay.ledger.engine import migrate as steps
from relay.ledger.engine.postgres import PostgresStore, connect
from relay.ledger.engine.sqlite import SqliteStore
from relay.ledger.queries import days, drop, plan
from relay.ledger.schema import attempts, dispatches, events, labels, results, work
from relay.model import Failure, Labels, ParkReason, Recorded, Settled, State, Verdict
from tests.ledger.build import created, made_at, make_dispatch, make_entry, move

DAY = 86_400_000
TERMS = Terms(owner="one", lease=40_000, retain=8 * DAY, retain_of={"vip": 10 * DAY, "brief": 2 * DAY})
KEYS = {
    events: events.c.id,
    dispatches: dispatches.c.id,
    attempts: attempts.c.dispatch_id,
    results: results.c.id,
    labels: labels.c.event_id,
    work: work.c.dispatch_id,
}


@pytest.fixture
async def postgres(migrated_url, clock):
    store = PostgresStore(connect(migrated_url, password=None, ca_file=None), clock=clock)
    clock.now -= clock.now % DAY  # midnight
    ledger = SqlLedger(store, TERMS)
    await ledger.make_days()
    yield ledger
    await ledger.aclose()


@pytest.fixture
async def sqlite(tmp_path, clock):
    """The same by rows: what the other one must be like."""
    store = SqliteStore(str(tmp_path / "relay.db"), clock=clock)
    await store.write(steps.upgrade)
    ledger = SqlLedger(store, TERMS)
    yield ledger
    await ledger.aclose()


@pytest.fixture
async def person(migrated_url):
    connection = await asyncpg.connect(migrated_url)
    yield connection
    await connection.close()


async def there(ledger):
    return [day.name for day in await ledger.read(lambda conn, _: days.there(conn))]


async def kept(ledger):
    def look(conn, _):
        return {table.name: sorted(conn.execute(select(key)).scalars()) for table, key in KEYS.items()}

    return await ledger.read(look)


async def prune(ledger):
    while await ledger.prune():
        pass


async def finish(ledger, entry, *, told=True):
    await ledger.accept([entry])
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    if told:
        await ledger.settle(Settled(f"{claim.dispatch.id}.1", "", confirmed=True))


async def fail(ledger, entry):
    await ledger.accept([entry])
    [claim] = await ledger.claim(1)
    failure = Failure("refused", "no", 400)
    await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=failure))


async def park(ledger, entry):
    await ledger.accept([entry])
    [claim] = await ledger.claim(1)
    await ledger.record(move(claim, State.PARKED, verdict=Verdict.UNKNOWN, park=ParkReason.UNKNOWN))


async def leave(ledger, entry):
    await ledger.accept([entry])
    await ledger.claim(1)


LIVES = {
    "told": finish,
    "untold": partial(finish, told=False),
    "failed": fail,
    "parked": park,
    "live": leave,
}


async def test_what_stays_is_what_stays_by_rows(postgres, sqlite, clock):
    """Three days, each with an event of each kind; then each day ends, some of them with a late deed."""
    both, days_made = (postgres, sqlite), []
    for turn in range(3):
        days_made.append({})
        for kind, live in LIVES.items():
            for source in ("crm", "vip", "brief"):
                clock.now += 1_000
                marked = {"labels": Labels({"kind": kind}, {})}
                entry = made_at(clock.now, make_entry(f"{turn}{kind}{source}", source=source, dispatch=marked))
                days_made[turn][kind, source] = entry
                for ledger in both:
                    await live(ledger, entry)
        unmatched = made_at(clock.now, make_entry(f"{turn}", rules=()))
        over_midnight = made_at(clock.now, make_entry(f"{turn} late"))
        later = tuple(made_at(clock.now + DAY, over_midnight).dispatches)
        over_midnight = replace(over_midnight, dispatches=(replace(later[0], event_id=over_midnight.event.id),))
        for ledger in both:
            await ledger.accept([unmatched])
            await finish(ledger, over_midnight)
        clock.now += DAY - clock.now % DAY
        await postgres.make_days()
    assert len(await there(postgres)) == 6
    assert await kept(postgres) == await kept(sqlite)
    first, second, _ = days_made
    clock.now += 5 * DAY
    replayed, again = second["told", "crm"], make_dispatch(second["told", "crm"].event, "later")
    for ledger in both:
        await ledger.retry(first["failed", "crm"].dispatches[0].id, None)
        await ledger.extend(replayed.event.id, replace(replayed, dispatches=(again,)), again=True)
    for ended in range(4):
        clock.now += DAY
        for ledger in both:
            await prune(ledger)
        assert await kept(postgres) == await kept(sqlite), ended
    assert len(await there(postgres)) == 2, "six days were made, and four are over"
    assert (await sqlite.gauges()).parked == (await postgres.gauges()).parked == {"unknown": 9}
    for ledger in both:
        await ledger.cancel(first["parked", "crm"].dispatches[0].id)
        [claim] = await ledger.claim(1)
        assert (await ledger.record(created(claim))).how is Recorded.APPLIED
        await prune(ledger)
    assert await kept(postgres) == await kept(sqlite)


async def test_a_day_whose_tables_are_in_use_is_dropped_later(postgres, clock, person):
    entry = made_at(clock.now, make_entry())
    await finish(postgres, entry)
    clock.now += 9 * DAY
    transaction = person.transaction()
    await transaction.start()
    await person.fetch("SELECT id FROM events")
    assert await postgres.prune() == 0
    assert (await kept(postgres))["events"] == [entry.event.id]
    await transaction.rollback()
    assert await postgres.prune() == 1
    assert (await kept(postgres))["events"] == []


async def test_a_day_that_is_in_use_for_long_is_pruned_by_rows(postgres, clock, person):
    await finish(postgres, made_at(clock.now, make_entry()))
    clock.now += 13 * DAY
    async with person.transaction():
        await person.fetch("SELECT id FROM events")
        assert await postgres.prune() == 1
    assert (await kept(postgres))["events"] == []
    await prune(postgres)
    assert await there(postgres) == []


async def test_a_day_with_much_to_keep_is_pruned_by_rows(postgres, clock, monkeypatch):
    monkeypatch.setattr(drop, "MOST", 1)
    entries = [made_at(clock.now, make_entry()) for _ in range(3)]
    for live, entry in zip((park, park, finish), entries, strict=True):
        await live(postgres, entry)
    clock.now += 9 * DAY
    await prune(postgres)
    assert (await kept(postgres))["events"] == sorted(entry.event.id for entry in entries[:2])
    assert len(await there(postgres)) == 3
    await postgres.cancel(entries[0].dispatches[0].id)
    for due in await postgres.due(10):
        await postgres.settle(Settled(due.result.id, "", confirmed=True))
    clock.now += 11 * DAY
    await prune(postgres)
    assert (await kept(postgres))["events"] == [entries[1].event.id]
    assert await there(postgres) == [], "one is little"


@pytest.mark.parametrize("most", [drop.MOST, 1])
async def test_a_key_is_as_free_after_its_day_was_dropped_as_before(postgres, clock, monkeypatch, most):
    """The more keys there are to release, the longer the tables would be locked: then rows are pruned."""
    monkeypatch.setattr(drop, "MOST", most)
    plans = [{"once": {"key": key, "within": None}} for key in ("made", "failed", "failed too")]
    for live, once in zip((finish, fail, fail), plans, strict=True):
        await live(postgres, made_at(clock.now, make_entry(dispatch={"plan": once})))
    clock.now += 9 * DAY
    await prune(postgres)
    assert (await kept(postgres))["dispatches"] == []
    later = await postgres.accept([make_entry(dispatch={"plan": once}) for once in plans])
    assert [each.entry.dispatches[0].state for each in later] == [State.SUPPRESSED, State.READY, State.READY]


async def test_where_hours_are_retained_rows_do_not_wait_for_the_end_of_the_day(postgres, clock):
    postgres.terms = replace(TERMS, retain=3_600_000)
    await finish(postgres, made_at(clock.now, make_entry()))
    clock.now += 3_600_001
    assert await postgres.prune() == 1
    assert len(await there(postgres)) == 3


@pytest.mark.parametrize("moment", [0, 1_700_000_000_000, 4_000_000_000_000, 1 << 47])
async def test_an_id_of_any_day_is_accepted(postgres, clock, moment):
    """Of a replica whose clock is wrong, for one."""
    entry = made_at(moment, make_entry())
    await finish(postgres, entry)
    assert (await postgres.event(entry.event.id)).dispatches[0].state is State.DONE
    clock.now = max(clock.now, moment) + 9 * DAY
    await prune(postgres)
    assert (await kept(postgres))["events"] == []


@pytest.mark.parametrize("retain", [8 * DAY, 16 * DAY])
async def test_a_day_that_has_rows_already_gets_no_partition(postgres, clock, retain):
    postgres.terms = replace(TERMS, retain=retain)
    clock.now += 5 * DAY
    await finish(postgres, made_at(clock.now + DAY, make_entry()))
    before = await there(postgres)
    assert await postgres.make_days() == 2
    assert await postgres.make_days() == 0
    of_day = (clock.now + DAY) // DAY
    made = [each for each in await postgres.read(lambda conn, _: days.there(conn)) if each.name not in before]
    assert [each.first for each in made] == [of_day - 1, of_day + 1]


async def test_much_that_is_retained_has_few_partitions(postgres, clock):
    """And a `retain` that was changed takes effect on the partitions to come."""
    for retain in (60 * DAY, 60 * DAY, DAY):
        postgres.terms = replace(TERMS, retain=retain)
        clock.now += 2 * DAY
        await postgres.make_days()
    counts = [(each.first - clock.now // DAY, each.count) for each in await postgres.read(lambda c, _: days.there(c))]
    assert counts == [(-6, 1), (-5, 1), (-4, 1), (-3, 8)]


async def test_a_record_changes_one_partition(postgres, clock):
    entry = made_at(clock.now, make_entry())

    def explain(conn, _):
        [(statement, _)] = days.split(conn, plan._DISPATCH, dispatches.c.id, [{"of": entry.dispatches[0].id}], "of")
        query = str(statement.compile(dialect=conn.dialect))
        conn.exec_driver_sql(f"PREPARE of_day AS {query}")
        conn.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        nulls = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", query))))
        return [row[0] for row in conn.exec_driver_sql(f"EXPLAIN (COSTS OFF) EXECUTE of_day({nulls})")]

    lines = await postgres.write(explain)
    assert [line.strip() for line in lines if "Update on" in line] == [
        "Update on dispatches",
        f"Update on dispatches_{(await there(postgres))[0]} dispatches_1",
    ]
