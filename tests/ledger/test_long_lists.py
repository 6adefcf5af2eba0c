"""Lists for IN (...) of any length: a delivery may have more keys than a statement may have parameters (32,767)."""

import os
import pkgutil
from functools import partial
from importlib import import_module

import pytest
from sqlalchemy import BindParameter, Select, insert
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.visitors import iterate

from relay.ledger import queries
from relay.ledger.engine.sql import flat, padded, run, send
from relay.ledger.queries import born
from relay.ledger.queries.admission import book
from relay.ledger.queries.keys import memory
from relay.ledger.schema import rule_keys
from tests.ledger.build import make_entry

MANY = 40_000
TIMES = {"now", "until", "soon", "settle"}
ONLY_POSTGRES = {id(born._WITH_BOOK)}


def listing():
    """The statements of the ledger's queries that have a list."""
    modules = [import_module(each.name) for each in pkgutil.walk_packages(queries.__path__, f"{queries.__name__}.")]
    values = [value for module in modules for value in vars(module).values()]
    return [value for value in values if isinstance(value, Select | UpdateBase) and has_list(value)]


def parameters(statement):
    return {each.key: each for each in iterate(statement) if isinstance(each, BindParameter) and each.required}


def has_list(statement):
    return any(each.expanding for each in parameters(statement).values())


def filled(statement, count):
    """Values for all parameters of a statement, of which those that are lists have `count` items."""
    return {
        name: padded(made(each, number) for number in range(count)) if each.expanding else made(each, 0)
        for name, each in parameters(statement).items()
    }


def made(parameter, number):
    kind = int if parameter.key in TIMES else parameter.type.python_type
    return number if kind is int else f"{number:036}".encode() if kind is bytes else f"{number:036}"


@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
async def test_every_statement_that_has_a_list_takes_forty_thousand_items(store):
    statements = listing()
    assert len(statements) > 30
    for statement in statements:
        if store.shares and id(statement) in ONLY_POSTGRES:
            continue
        given = filled(statement, MANY)
        await store.write(lambda conn, _, of=statement, given=given: run(conn, of, given), slow=True)


@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
async def test_a_long_list_finds_what_a_short_one_finds_in_the_order_of_the_index(store):
    there = [{"hash": os.urandom(36), "rule": "deal", "value": "1", "expires_at": 1 << 60} for _ in range(50)]
    hashes = [row["hash"] for row in there]
    asked = padded([*hashes[:25], *(os.urandom(36) for _ in range(MANY))])

    def look(conn, now):
        conn.execute(insert(rule_keys), there)
        rows = run(conn, memory._ROWS, {"hashes": asked, "now": now}), run(conn, book.LOCKED, {"hashes": asked})
        return [[bytes(row["hash"]) for row in found] for found in rows]

    known, locked = await store.write(look, slow=True)
    assert sorted(known) == locked == sorted(hashes[:25])


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_a_long_list_is_looked_up_by_the_index_on_sqlite(store):
    """On PostgreSQL it is the array that the server makes of a short list itself."""

    def explain(conn, now):
        given = {"hashes": [bytes(36)] * MANY, "now": now}
        query, flatten = flat(memory._ROWS, given, conn.dialect)
        return [step["detail"] for step in send(conn, f"EXPLAIN QUERY PLAN {query}", flatten(given))]

    steps = await store.read(explain)
    assert [step for step in steps if "rule_keys" in step] == ["SEARCH rule_keys USING PRIMARY KEY (hash=?)"]


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_a_delivery_with_more_keys_than_a_statement_has_parameters_is_accepted(ledger):
    def plan(number):
        key = f"k{number}"
        changed = {"key": key, "hash": "x", "first": "match"}
        return {"once": {"key": key, "within": None}, "changed": changed, "newest": {"key": key, "by": 1}}

    rules = [f"r{number}" for number in range(20)]
    delivery = [make_entry(rules=rules, dispatch={"plan": plan(number)}) for number in range(300)]
    receipts = await ledger.accept(delivery)
    assert [len(receipt.dispatches) for receipt in receipts] == [20] * 300


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_more_keys_than_the_server_has_locks_are_locked_as_one_that_the_others_share(store):
    held = "SELECT classid, objid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"

    def lock(conn, _, count):
        memory.lock(conn, [os.urandom(36) for _ in range(count)])
        return [((row["classid"], row["objid"]), row["mode"]) for row in send(conn, held)]

    [(everything, mode)] = await store.write(partial(lock, count=MANY))
    assert mode == "ExclusiveLock"
    few = await store.write(partial(lock, count=3))
    assert (everything, "ShareLock") in few
    assert sorted(mode for _, mode in few) == ["ExclusiveLock"] * 3 + ["ShareLock"]
