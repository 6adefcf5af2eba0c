"""The shared ledger's server: replicas that race, connections that die, a server that restarts."""

import asyncio
from contextlib import aclosing

import pytest
from sqlalchemy import text

from relay.errors import Unavailable
from relay.ledger import SqlLedger, Terms, Unusable, migrate_ledger, open_ledger, pending_steps
from relay.ledger.engine.postgres import PostgresStore, connect
from relay.model import EventStatus, Recorded
from relay.secret import Secret
from tests.ledger.build import created, make_entry
from tests.ledger.within import Within, until_blocked

TERMS = Terms(owner="one")


async def test_it_refuses_to_open_with_pending_steps_until_it_is_migrated(postgres_url):
    assert await pending_steps(postgres_url) == ["first"]
    with pytest.raises(Unusable, match=r"lacks 1 step.*run `relay migrate`"):
        await open_ledger(postgres_url, TERMS)
    assert await migrate_ledger(postgres_url) == ["first"]
    assert await migrate_ledger(postgres_url) == []
    assert await pending_steps(postgres_url) == []
    ledger = await open_ledger(postgres_url, TERMS)
    await ledger.accept([make_entry()])
    await ledger.aclose()


async def test_replicas_that_all_migrate_at_once_do_it_once(postgres_url):
    done = await asyncio.gather(*(migrate_ledger(postgres_url) for _ in range(4)))
    assert sorted(done) == [[], [], [], ["first"]]


async def test_a_ledger_of_a_newer_release_is_refused(postgres_url):
    await migrate_ledger(postgres_url)
    ledger = await open_ledger(postgres_url, TERMS)
    await ledger.write(lambda conn, _: conn.execute(text("UPDATE alembic_version SET version_num = 'later'")))
    await ledger.aclose()
    with pytest.raises(Unusable, match=r"\(later\) is newer than this release"):
        await open_ledger(postgres_url, TERMS)


async def test_a_server_that_is_away_is_told_apart_from_one_that_refuses(postgres_url):
    with pytest.raises(Unusable, match=r"does not exist.*correct ledger\.url"):
        await open_ledger(postgres_url.rsplit("/", 1)[0] + "/nowhere", TERMS)
    with pytest.raises(Unavailable, match="database is away"):
        await open_ledger("postgresql://relay@127.0.0.1:1/relay", TERMS)


async def test_a_password_is_in_no_error(postgres_url):
    with pytest.raises(Unusable) as refused:
        await open_ledger(
            postgres_url.rsplit("/", 1)[0] + "/nowhere", TERMS, password=Secret("hush-hush"), ca_file=None
        )
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_a_ca_file_that_cannot_be_read_is_named(postgres_url, tmp_path):
    with pytest.raises(Unusable, match=r"ledger\.ca_file: cannot be read \(.*missing\.pem: no such file\)"):
        await open_ledger(postgres_url, TERMS, ca_file=str(tmp_path / "missing.pem"))


async def test_the_sessions_are_named_durable_and_bounded(postgres_url):
    ledger = await open_ledger(postgres_url, TERMS, migrate=True)

    def look(conn, _):
        names = ("application_name", "synchronous_commit", "statement_timeout")
        return [conn.execute(text(f"SHOW {name}")).scalar() for name in names]

    assert await ledger.read(look) == ["relay", "on", "25s"]
    await ledger.aclose()


async def test_of_racing_duplicates_on_two_replicas_one_is_accepted(replicas):
    names = [f"race-{number}" for number in range(60)]
    deliveries = [(replica, make_entry(name)) for name in names for replica in replicas for _ in range(2)]
    answers = await asyncio.gather(*(replica.accept([entry]) for replica, entry in deliveries))
    by_name = {name: [receipt for [receipt] in answers if receipt.external_id == name] for name in names}
    for receipts in by_name.values():
        assert [one.status for one in receipts].count(EventStatus.ACCEPTED) == 1
        assert len({one.id for one in receipts}) == 1
        assert len({one.dispatches for one in receipts}) == 1
    assert len(await replicas[0].claim(500)) == 60


async def test_batches_in_opposite_order_do_not_lock_each_other_out(replicas):
    for turn in range(5):
        names = [f"cross-{turn}-{number}" for number in range(40)]
        there = [make_entry(name) for name in names]
        back = [make_entry(name) for name in reversed(names)]
        await asyncio.gather(replicas[0].accept(there), replicas[1].accept(back))
    assert len(await replicas[0].claim(500)) == 200


async def test_a_duplicate_waits_for_the_commit_of_the_first(replicas, migrated_url):
    """A 2xx for a duplicate while the first could still be rolled back would lose the event."""
    entry = make_entry("held")
    engine = connect(migrated_url, password=None, ca_file=None)
    async with engine.connect() as conn:
        blocking = SqlLedger(Within(conn), Terms(owner="slow"))
        await blocking.accept([entry])
        waiting = asyncio.create_task(replicas[0].accept([make_entry("held")]))
        await until_blocked(replicas[1], waiting)
        await conn.rollback()
    [receipt] = await waiting
    assert receipt.status is EventStatus.ACCEPTED, "the first never came to be"
    await engine.dispose()


async def test_when_its_connections_are_cut_it_says_unavailable_and_goes_on(postgres_url):
    ledger = await open_ledger(postgres_url, TERMS, migrate=True)
    engine = connect(postgres_url, password=None, ca_file=None)
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND datname = current_database()"
    )
    accepted, refused = [], 0
    async with engine.connect() as conn:
        for turn in range(12):
            entries = [make_entry() for _ in range(20)]
            asked = asyncio.gather(*(ledger.accept([one]) for one in entries), return_exceptions=True)
            if turn % 3 == 1:
                await conn.execute(cut)
                await conn.commit()
            for entry, answer in zip(entries, await asked, strict=True):
                if isinstance(answer, BaseException):
                    assert isinstance(answer, Unavailable)
                    refused += 1
                else:
                    accepted.append(entry)
    assert refused
    again = await asyncio.gather(*(ledger.known([make_entry(one.event.external_id)]) for one in accepted))
    assert all(again), "what was answered is there"
    assert [receipt.status for receipt in await ledger.accept([make_entry()])] == [EventStatus.ACCEPTED]
    await engine.dispose()
    await ledger.aclose()


async def test_it_is_back_by_itself_after_the_server_was_killed(private_postgres):
    ledger = await open_ledger(private_postgres.url, TERMS, migrate=True)
    entry = make_entry("before")
    await ledger.accept([entry])
    [claim] = await ledger.claim(1)
    private_postgres.kill()
    answers = await asyncio.gather(
        ledger.accept([make_entry("during")]),
        ledger.record(created(claim)),
        ledger.due(1),
        ledger.sweep(),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {Unavailable}
    private_postgres.start()
    assert [one.id for one in await ledger.known([make_entry("before")])] == [entry.event.id]
    assert await ledger.known([make_entry("during")]) is None
    await ledger.record(created(claim))
    assert len(await ledger.due(1)) == 1
    await ledger.aclose()


async def test_a_late_commit_gets_a_later_cursor_and_is_not_skipped(replicas, migrated_url):
    engine = connect(migrated_url, password=None, ca_file=None)
    for replica in replicas:
        await replica.accept([make_entry()])
    [slow], [fast] = [await replica.claim(1) for replica in replicas]
    async with engine.connect() as conn:
        late = SqlLedger(Within(conn), Terms(owner="one"))
        await late.record(created(slow))
        await replicas[1].record(created(fast))
        seen = await replicas[1].follow(0, 10)
        assert [result.dispatch_id for _, result in seen] == [fast.dispatch.id]
        await conn.commit()
    rest = await replicas[1].follow(seen[-1][0], 10)
    assert [result.dispatch_id for _, result in rest] == [slow.dispatch.id]
    await engine.dispose()


async def test_a_long_stream_is_sequenced_in_chunks_without_a_gap(replicas, monkeypatch):
    from relay.ledger.queries import outbox

    monkeypatch.setattr(outbox, "CHUNK", 3)
    await replicas[0].accept([make_entry() for _ in range(10)])
    await asyncio.gather(*(replicas[0].record(created(claim)) for claim in await replicas[0].claim(10)))
    pages = await asyncio.gather(*(replica.follow(0, 100) for replica in replicas))
    assert all(pages)
    assert await replicas[1].latest() == 10
    assert [cursor for cursor, _ in await replicas[0].follow(0, 100)] == list(range(1, 11))


async def test_the_clock_is_the_servers(postgres_url):
    server = text("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    async with (
        aclosing(await open_ledger(postgres_url, TERMS, migrate=True)),
        aclosing(PostgresStore(connect(postgres_url, password=None, ca_file=None))) as store,
    ):
        before = await store.read(lambda conn, _: conn.execute(server).scalar())
        now, after = await store.read(lambda conn, now: (now, conn.execute(server).scalar()))
    assert before <= now <= after


async def test_cursors_are_given_on_the_side_a_bounded_number_in_a_turn(replicas, monkeypatch):
    from relay.ledger.queries import outbox

    monkeypatch.setattr(outbox, "CHUNK", 4)
    await replicas[0].accept([make_entry() for _ in range(10)])
    await asyncio.gather(*(replicas[0].record(created(claim)) for claim in await replicas[0].claim(10)))
    assert [await replicas[1].sequence() for _ in range(4)] == [True, True, False, False]
    given = text("SELECT count(*) FROM results WHERE position IS NOT NULL")
    assert await replicas[0].read(lambda conn, _: conn.execute(given).scalar()) == 10, "nobody has followed yet"
    assert [cursor for cursor, _ in await replicas[0].follow(0, 100)] == list(range(1, 11))


async def test_statements_are_prepared_anew_when_their_tables_are_altered(replicas):
    """As by the migration of a newer release, beside which this one goes on."""
    one, two = replicas
    await one.accept([make_entry(), make_entry()])
    [first, second] = await one.claim(2)
    await one.record(created(first))
    alter = text("ALTER TABLE work ALTER COLUMN number TYPE bigint")
    await two.write(lambda conn, _: conn.execute(alter))
    assert (await one.record(created(second))).how is Recorded.APPLIED


async def test_the_oldest_open_transaction_is_a_gauge(postgres_url):
    ledger = await open_ledger(postgres_url, TERMS, migrate=True)
    assert (await ledger.gauges()).oldest_transaction == 0
    engine = connect(postgres_url)
    async with engine.connect() as other:
        await other.execute(text("SELECT pg_sleep(0.01)"))
        assert (await ledger.gauges()).oldest_transaction >= 10
    assert (await ledger.gauges()).oldest_transaction == 0
    await engine.dispose()
    await ledger.aclose()
