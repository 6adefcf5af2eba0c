"""A hundred thousand distinct keys: rows that are found by their index and expire, and no memory of the relay's."""

import gc
import tracemalloc

import pytest
from sqlalchemy import func, select

from relay.ledger import SqlLedger, Terms
from relay.ledger.engine.sql import flat, send
from relay.ledger.queries import windows
from relay.ledger.queries.keys import memory, window
from relay.ledger.schema import rule_keys
from relay.model import new_id
from tests.ledger.build import make_entry

MANY, SOON = 100_000, 1_000
STATEMENTS = {
    "what is remembered of keys": memory._ROWS,
    "open windows of keys": window._OPEN,
    "windows that are due": windows._DUE,
    "the next window": windows._NEXT,
}


def fill(conn, now):
    """Each key has a row and a window; some expire soon."""
    digest = "sha256(i::text::bytea)" if conn.dialect.name == "postgresql" else "randomblob(32)"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})"
    expires_at = f"CASE WHEN i <= {SOON} THEN {now + 1_000} ELSE {now + 1_000_000_000} END"
    window = f"'w' || i, {digest}, 'last', {now}, {now + 60_000}, 1, 1"
    for statement in (
        f"INSERT INTO rule_keys (hash, rule, expires_at) {numbers} SELECT {digest}, 'deal', {expires_at} FROM n",
        f"INSERT INTO windows (id, key, keep, opened_at, closes_at, count, size) {numbers} SELECT {window} FROM n",
        "ANALYZE",
    ):
        conn.exec_driver_sql(statement)


def plan_of(conn, statement, now):
    """The steps of the database's plan."""
    given = {"hashes": [bytes(32)], "now": now, "most": 20}
    given = {name: value for name, value in given.items() if name in statement.compile().params}
    query, flatten = flat(statement, given, conn.dialect)
    word = "EXPLAIN" if conn.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    return [str(list(row.values())[-1]) for row in send(conn, f"{word} {query}", flatten(given))]


def count(conn, _):
    return conn.execute(select(func.count()).select_from(rule_keys)).scalar()


@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
async def test_a_hundred_thousand_keys_are_rows_that_are_found_by_index_and_expire(store, clock):
    await store.write(fill)
    for what, statement in STATEMENTS.items():
        steps = await store.read(lambda conn, now, statement=statement: plan_of(conn, statement, now))
        of_keys = [step for step in steps if "rule_keys" in step or "windows" in step]
        assert of_keys, what
        assert not [step for step in of_keys if step.startswith(("SCAN", "->  Seq", "Seq")) or "Seq Scan" in step], what
    clock.now += 2_000
    ledger = SqlLedger(store, Terms(owner="one"))
    while await ledger.prune():
        pass
    assert await ledger.read(count) == MANY - SOON


@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
async def test_a_key_that_was_seen_takes_no_memory(ledger):
    """Nor does a statement that is made anew for each."""

    async def accept(batches):
        for _ in range(batches):
            await ledger.accept([make_entry(dispatch={"plan": {"once": {"key": new_id(), "within": None}}})])

    await accept(100)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await accept(500)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 500 * 256


def test_the_keys_of_a_rule_with_one_text_lie_side_by_side():
    """So an event touches one page of the table for all of them; another rule or text lies elsewhere."""
    hashes = {name: memory.hash_of(name, "deal", "7") for name in ("once", "order", "loop", "limit 0")}
    assert len({each[:32] for each in hashes.values()}) == 1
    assert len(set(hashes.values())) == len(hashes)
    others = [("deal", "8"), ("deal 7", ""), ("dea", "l 7")]
    assert len({memory.hash_of("once", *each)[:32] for each in [("deal", "7"), *others]}) == 4
