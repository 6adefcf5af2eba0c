"""A pooler between the ledger and its server: nothing outlives a transaction, and nothing of what counts is lost."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text

from relay.errors import Unavailable
from relay.ledger import Terms, Unusable, migrate_ledger, open_ledger
from relay.ledger.engine.dial import Pooled, StraightConnection
from relay.model import EventStatus
from tests.conftest import lend
from tests.ledger.build import created, make_entry
from tests.services.pgbouncer import run_bouncer

OURS = {
    "synchronous_commit": "on",
    "lock_timeout": "10s",
    "statement_timeout": "25s",
    "idle_in_transaction_session_timeout": "1min",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
IGNORED = ",".join([*OURS, "extra_float_digits"])


@pytest.fixture(scope="module", params=["as it comes", "ignoring", "session"])
def bouncer(request, postgres_server):
    """By transaction, as Debian installs it; with our parameters ignored, so that they are lost; by session."""
    mode = "session" if request.param == "session" else "transaction"
    settings = {"ignore_startup_parameters": IGNORED} if request.param == "ignoring" else {}
    yield from lend(run_bouncer(postgres_server.url, mode, **settings))


@asynccontextmanager
async def opened(url, count, **access):
    ledgers = [await open_ledger(url, Terms(owner=f"replica-{number}"), **access) for number in range(count)]
    try:
        yield ledgers
    finally:
        for ledger in ledgers:
            await ledger.aclose()


def settings_of(conn, _=0):
    return {name: conn.execute(text(f"SHOW {name}")).scalar() for name in OURS}


async def driver_of(ledger):
    async with ledger._store._engine.connect() as conn:
        return (await conn.get_raw_connection()).driver_connection


async def test_replicas_do_all_of_their_work_through_it(bouncer, postgres_url):
    url = bouncer.before(postgres_url)
    assert sorted(await asyncio.gather(*(migrate_ledger(url) for _ in range(3)))) == [[], [], ["first"]]
    async with opened(url, 4) as ledgers:
        names = [f"e-{number}" for number in range(40)]
        took = await asyncio.gather(*(ledger.accept([make_entry(name)]) for name in names for ledger in ledgers))
        assert [receipt.status for [receipt] in took].count(EventStatus.ACCEPTED) == 40
        claims = [claim for each in await asyncio.gather(*(ledger.claim(15) for ledger in ledgers)) for claim in each]
        claims += await ledgers[0].claim(40)
        assert len({claim.dispatch.id for claim in claims}) == len(claims) == 40
        by_owner = {ledger.terms.owner: ledger for ledger in ledgers}
        await asyncio.gather(*(by_owner[f"replica-{n % 4}"].record(created(claim)) for n, claim in enumerate(claims)))
        due = await asyncio.gather(*(ledger.due(40) for ledger in ledgers))
        assert len({one.result.id for each in due for one in each}) == 40
        assert sorted(await asyncio.gather(*(ledger.lease("scanner", 60_000) for ledger in ledgers)))[-2:] == [
            False,
            True,
        ]
        assert await ledgers[3].latest() == 40
        await asyncio.gather(*(ledger.ping() for ledger in ledgers))
        assert await ledgers[0].write(settings_of) == OURS


async def test_what_another_client_finds_there_is_as_the_server_has_it(bouncer, postgres_url, postgres_server):
    """Whoever comes next on the same connections to the server meets no setting, statement, lock or LISTEN of ours."""
    postgres_server.run(f'ALTER DATABASE "{postgres_url.rpartition("/")[2]}" SET lock_timeout = 77')
    url = bouncer.before(postgres_url)
    async with opened(url, 2, migrate=True) as ledgers:
        await asyncio.gather(*(ledger.accept([make_entry()]) for ledger in ledgers for _ in range(20)))
        assert (await ledgers[0].write(settings_of))["lock_timeout"] == "10s"
        if bouncer.mode == "transaction":
            others = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(3)]
            for other in others:  # each in a transaction, so that they sit on all connections that there are
                await other.execute("BEGIN")
                assert await other.fetchval("SELECT current_setting('lock_timeout')") == "77ms"
                assert await other.fetchval("SELECT current_setting('statement_timeout')") == "0"
                assert await other.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            assert await others[0].fetchval(locks) == 0
            for other in others:
                await other.close()


async def test_a_straight_connection_pays_nothing_for_it(postgres_url):
    async with opened(postgres_url, 1, migrate=True) as [ledger]:
        driver = await driver_of(ledger)
        assert type(driver) is StraightConnection
        assert await ledger.write(settings_of) == OURS
        named = text("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
        assert await ledger.read(lambda conn, _: conn.execute(named).scalar()) > 0, "statements are kept there"


async def test_a_schema_and_options_hold_in_each_transaction(bouncer, postgres_url):
    url = f"{bouncer.before(postgres_url)}?options=-c%20work_mem%3D5MB%20-c%20lock_timeout%3D1"
    async with opened(url, 1, migrate=True, schema="Relay's own") as [ledger]:
        assert type(await driver_of(ledger)) is Pooled
        await ledger.accept([make_entry("a")])
        shown = text("SELECT current_schema(), current_setting('work_mem'), current_setting('lock_timeout')")
        assert await ledger.read(lambda conn, _: tuple(conn.execute(shown).one())) == ("Relay's own", "5MB", "10s")


async def test_a_setting_that_the_server_does_not_know_is_told(bouncer, postgres_url):
    with pytest.raises(Unusable, match=r'parameter "nonsense".*correct `options` in ledger\.url'):
        await open_ledger(f"{bouncer.before(postgres_url)}?options=-c%20nonsense%3D1", Terms(owner="one"))


async def test_a_database_that_the_pooler_does_not_know_is_told(bouncer, postgres_url):
    with pytest.raises(Unusable, match=r"nowhere.*correct ledger\.url"):
        await open_ledger(bouncer.before(postgres_url).rpartition("/")[0] + "/nowhere", Terms(owner="one"))


async def test_a_server_that_is_away_behind_it_is_waited_for(private_postgres):
    with run_bouncer(private_postgres.url, server_login_retry="1", query_wait_timeout="2") as bouncer:
        url = bouncer.before(private_postgres.url)
        async with opened(url, 1, migrate=True) as [ledger]:
            private_postgres.kill()
            with pytest.raises(Unavailable, match="away"):
                await ledger.accept([make_entry("during")])
            private_postgres.start()
            while True:
                try:
                    [receipt] = await ledger.accept([make_entry("after")])
                    break
                except Unavailable:
                    await asyncio.sleep(0.2)
            assert receipt.status is EventStatus.ACCEPTED
