"""What a role may do, and what a database is: looked at when it opens, and told with the SQL that mends it."""

from contextlib import aclosing
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from sqlalchemy import text

from relay.errors import Unavailable
from relay.ledger import Terms, Unusable, migrate_ledger, open_ledger, pending_steps, script_ledger
from relay.ledger.engine.postgres import PostgresStore, connect
from relay.model import EventStatus
from tests.ledger.build import created, make_entry
from tests.ledger.test_migrations import describe_postgres
from tests.services.postgres import Database

TERMS = Terms(owner="one")


@pytest.fixture
def role(postgres_server, postgres_url):
    """A role that may log in and nothing else."""
    name = f"r{uuid4().hex[:10]}"
    postgres_server.run(f"CREATE ROLE {name} LOGIN")
    Database(postgres_url).run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield name
    Database(postgres_url).run(f"DROP OWNED BY {name} CASCADE")
    postgres_server.run(f"DROP ROLE {name}")


def as_role(url, name):
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}@{parts.hostname}:{parts.port}"))


def granted(error):
    """The SQL that a message tells to run."""
    said = str(error.value)
    return said[said.index("GRANT") : said.rindex(";") + 1]


async def test_a_role_that_may_make_no_tables_is_told_the_grant_and_it_is_enough(role, postgres_url):
    url = as_role(postgres_url, role)
    with pytest.raises(Unusable, match="may not make tables in the schema public: GRANT USAGE, CREATE") as refused:
        await migrate_ledger(url)
    with pytest.raises(Unusable, match="may not make tables"):
        await open_ledger(url, TERMS, migrate=True)
    Database(postgres_url).run(granted(refused))
    assert await migrate_ledger(url) == ["first"]


async def test_a_role_that_may_write_no_rows_is_told_the_grant_and_it_is_enough(role, postgres_url):
    await migrate_ledger(postgres_url)
    url = as_role(postgres_url, role)
    for ask in (pending_steps(url), migrate_ledger(url), open_ledger(url, TERMS)):
        with pytest.raises(
            Unusable, match=r"may not read and write the tables: GRANT .*run by the tables' owner"
        ) as no:
            await ask
    Database(postgres_url).run(granted(no))
    assert await pending_steps(url) == []
    assert await migrate_ledger(url) == [], "nothing is to be done, so that nothing more is needed"
    async with aclosing(await open_ledger(url, TERMS)) as ledger:
        await ledger.accept([make_entry("a")])
        [claim] = await ledger.claim(1)
        await ledger.record(created(claim))
        assert len(await ledger.due(1)) == 1
        assert await ledger.lease("pruner", 1_000)
        assert await ledger.prune() == 0


async def test_a_right_that_is_taken_away_meanwhile_is_down_with_its_reason(role, postgres_url):
    await migrate_ledger(postgres_url)
    Database(postgres_url).run(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    async with aclosing(await open_ledger(as_role(postgres_url, role), TERMS)) as ledger:
        await ledger.ping()
        Database(postgres_url).run(f"REVOKE INSERT ON events FROM {role}")
        with pytest.raises(Unavailable, match=r"lacks a right \(permission denied for table events.*migrate --sql"):
            await ledger.accept([make_entry()])
        with pytest.raises(Unavailable, match=rf"role {role} may not read and write events: GRANT"):
            await ledger.ping()
        Database(postgres_url).run(f"GRANT INSERT ON events TO {role}")
        await ledger.ping()


async def test_a_role_that_may_not_use_the_schema_is_told(role, postgres_url):
    await migrate_ledger(postgres_url)
    Database(postgres_url).run("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(Unusable, match='may not use the schema public: GRANT USAGE, CREATE ON SCHEMA "public"'):
        await open_ledger(as_role(postgres_url, role), TERMS)


async def test_a_role_that_may_not_connect_is_told(role, postgres_url):
    database = postgres_url.rpartition("/")[2]
    Database(postgres_url).run(f'REVOKE CONNECT ON DATABASE "{database}" FROM PUBLIC')
    with pytest.raises(Unusable, match="GRANT CONNECT ON DATABASE"):
        await open_ledger(as_role(postgres_url, role), TERMS)


async def test_a_schema_of_its_own_is_made_where_the_role_may(role, postgres_url):
    url = as_role(postgres_url, role)
    with pytest.raises(Unusable, match=rf'no schema relay.*CREATE SCHEMA "relay" AUTHORIZATION "{role}";'):
        await migrate_ledger(url, schema="relay")
    Database(postgres_url).run(f'GRANT CREATE ON DATABASE "{postgres_url.rpartition("/")[2]}" TO {role}')
    assert await migrate_ledger(url, schema="relay") == ["first"]
    assert await pending_steps(url, schema="relay") == []
    async with aclosing(await open_ledger(url, TERMS, schema="relay")) as ledger:
        [receipt] = await ledger.accept([make_entry()])
        assert receipt.status is EventStatus.ACCEPTED
        where = text("SELECT schemaname FROM pg_tables WHERE tablename IN ('events', 'alembic_version')")
        assert await ledger.read(lambda conn, _: conn.execute(where).scalars().all()) == ["relay", "relay"]


@pytest.mark.parametrize("schema", [None, "own_1"])
async def test_the_sql_for_a_databases_owner_makes_what_migrate_makes_and_serving_needs(role, postgres_url, schema):
    url = as_role(postgres_url, role)
    script = await script_ledger(url, schema=schema)
    Database(postgres_url).run(script)
    async with aclosing(await open_ledger(url, TERMS, schema=schema)) as ledger:
        await ledger.accept([make_entry()])
    again = await script_ledger(url, schema=schema)
    assert "up to date" in again
    assert "CREATE" not in again
    store = PostgresStore(connect(postgres_url))
    scripted = await store.read(lambda conn, _: describe_postgres(conn, schema or "public"))
    await store.aclose()
    await migrate_ledger(postgres_url, schema="plain")
    store = PostgresStore(connect(postgres_url))
    assert await store.read(lambda conn, _: describe_postgres(conn, "plain")) == scripted
    await store.aclose()


async def test_the_sql_is_written_also_where_nobody_answers():
    script = await script_ledger("postgresql://app@127.0.0.1:1/relay")
    assert "could not be asked" in script
    assert 'GRANT USAGE ON SCHEMA "public" TO "app";' in script
    assert '-- GRANT USAGE ON SCHEMA "public"' in await script_ledger("postgresql://127.0.0.1:1/relay")
    with pytest.raises(Unusable, match="SQLite"):
        await script_ledger("sqlite:///relay.db")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_text_is_refused_with_how_to_make_one(postgres_server, encoding):
    name = f"test_{uuid4().hex[:12]}"
    postgres_server.run(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    url = postgres_server.url.rpartition("/")[0] + f"/{name}"
    try:
        for ask in (migrate_ledger(url), open_ledger(url, TERMS), pending_steps(url), script_ledger(url)):
            with pytest.raises(Unusable, match=rf"is in {encoding}.*CREATE DATABASE relay ENCODING 'UTF8'.*TEMPLATE"):
                await ask
    finally:
        postgres_server.run(f"DROP DATABASE {name} WITH (FORCE)")
