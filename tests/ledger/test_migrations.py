"""A migrated ledger has the very schema that the code describes."""

from sqlalchemy import create_engine, inspect, text

from relay.ledger.engine import migrate as steps
from relay.ledger.engine.postgres import PostgresStore, connect
from relay.ledger.engine.sqlite import SqliteStore
from relay.ledger.schema import metadata


def describe_sqlite(conn, _=0):
    rows = conn.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    return {name: " ".join(sql.replace("\t", " ").split()) for name, sql in rows if name != "alembic_version"}


def describe_postgres(conn, schema):
    seen = inspect(conn)
    described = {}
    keys = text(
        "SELECT relname, pg_get_partkeydef(oid) FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace)"
        " AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    for table, key in conn.execute(keys, {"schema": schema}):
        if table == "alembic_version":
            continue
        described["partitions of " + table] = key
        described[table] = [
            {name: str(value) for name, value in column.items()} for column in seen.get_columns(table, schema=schema)
        ]
        found = text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = :schema AND tablename = :table")
        for name, definition in conn.execute(found, {"schema": schema, "table": table}):
            described[name] = definition.replace(f"{schema}.", "")
    return described


async def test_on_sqlite_migrated_equals_described(tmp_path):
    store = SqliteStore(str(tmp_path / "relay.db"))
    await store.write(steps.upgrade)
    migrated = await store.read(describe_sqlite)
    await store.aclose()
    fresh = create_engine("sqlite://")
    with fresh.begin() as conn:
        metadata.create_all(conn)
        assert migrated == describe_sqlite(conn)
    fresh.dispose()
    assert "work_due" in migrated


async def test_on_postgres_migrated_equals_described(postgres_url):
    store = PostgresStore(connect(postgres_url, password=None, ca_file=None))
    await store.write(steps.upgrade)

    def compare(conn, _):
        conn.execute(text("CREATE SCHEMA fresh"))
        conn.execute(text("SET LOCAL search_path TO fresh"))
        metadata.create_all(conn)
        return describe_postgres(conn, "public"), describe_postgres(conn, "fresh")

    migrated, described = await store.write(compare)
    await store.aclose()
    assert migrated == described
    assert 'COLLATE "C"' in migrated["work"][0]["type"]
    assert migrated["partitions of results"] == "RANGE (id)"


async def test_migrating_again_changes_nothing(store):
    assert await store.read(steps.pending) == []
    assert await store.write(steps.upgrade) == []
