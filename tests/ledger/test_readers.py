"""Reads wait for no other reads and no writes: the service has readers of its own, and people have theirs."""

import asyncio
import threading
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy import event as hooks
from sqlalchemy import text

from relay.errors import Unavailable
from relay.ledger.engine import faults
from relay.ledger.engine.deadline import Deadline
from relay.ledger.engine.sql import driver
from relay.ledger.queries import search
from relay.model import EventQuery, Kept, Rejection, new_id
from tests.ledger.build import make_entry

MIB = 1 << 20
ENDLESS = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n")


async def begin(ledger, many):
    """So many looks of people that do not end by themselves, each of them under way (or queued)."""
    begun = threading.Semaphore(0)

    def look(conn, _):
        begun.release()
        return conn.execute(ENDLESS).scalar()

    looks = [asyncio.create_task(ledger.browse(look)) for _ in range(many)]
    for _ in range(min(many, 2)):
        while not begun.acquire(blocking=False):
            await asyncio.sleep(0)
    return looks


@pytest.fixture
def brief(monkeypatch):
    """People get a second."""
    for module in ("relay.ledger.engine.sqlite", "relay.ledger.engine.faults"):
        monkeypatch.setattr(f"{module}.BROWSE_FOR", 1.0)
    monkeypatch.setattr("relay.ledger.engine.postgres._LOOK", "SET LOCAL statement_timeout = 1000")
    monkeypatch.setattr("relay.ledger.engine.postgres._LATEST_LOOK", 30.0)


async def end(store, looks):
    """End them from outside, those that come after them too."""
    if store.shares:
        while not all(look.done() for look in looks):
            for conn in store._all[1:]:
                driver(conn).interrupt()
            await asyncio.sleep(0)
        return
    cancel = text("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'WITH RECURSIVE n%'")
    while not all(look.done() for look in looks):
        await store.write(lambda conn, _: conn.execute(cancel))


async def test_whatever_people_look_for_holds_up_nothing_of_the_service(ledger, store, monkeypatch):
    monkeypatch.setattr("relay.ledger.engine.sqlite.BROWSE_FOR", 600.0)
    monkeypatch.setattr("relay.ledger.engine.postgres._LOOK", "SET LOCAL statement_timeout = 600000")
    monkeypatch.setattr("relay.ledger.engine.postgres._LATEST_LOOK", 600.0)
    looks = await begin(ledger, 5)
    entry = make_entry("a")
    await ledger.accept([entry])
    assert (await ledger.known([make_entry("a")]))[0].id == entry.event.id
    assert await ledger.wake() == 0
    assert await ledger.pauses() == {}
    assert await ledger.paused_sources() == frozenset()
    assert (await ledger.gauges()).unfinished == 1
    assert len(await ledger.claim(1)) == 1
    assert await ledger.doubts(1) == []
    assert not any(look.done() for look in looks), "they are still at it"
    await end(store, looks)
    answers = await asyncio.gather(*looks, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    page = await ledger.events(EventQuery())
    assert [view.id for view in page.events] == [entry.event.id], "the next look has its reader back"


async def test_a_text_search_that_takes_too_long_says_what_to_narrow(ledger, brief, monkeypatch):
    await ledger.accept([make_entry()])
    endless = text(f"(SELECT count(*) FROM ({ENDLESS.text}) s) > 0")
    monkeypatch.setattr(search, "_has_text", lambda *_: endless)
    with pytest.raises(Unavailable, match=r"takes longer than .* s: narrow it by source, type, since and until"):
        await ledger.events(EventQuery(text="anything"))


async def test_a_search_of_many_short_statements_ends_in_time_and_the_next_one_is_not_interrupted(
    ledger, store, brief, monkeypatch
):
    monkeypatch.setattr("relay.ledger.engine.postgres._LATEST_LOOK", 1.0)
    short = text(ENDLESS.text.replace("FROM n)", "FROM n WHERE x < 20000)", 1))

    def look(conn, _, *, most):
        for _ in range(most):
            conn.execute(short)

    # PostgreSQL ends long statements only: of many short ones it is not known whether the server hangs.
    told = "takes longer than" if store.shares else "did not answer within"
    with pytest.raises(Unavailable, match=told):
        await ledger.browse(partial(look, most=1_000_000))
    for _ in range(5):
        await ledger.browse(partial(look, most=1))


@contextmanager
def fetched(store):
    """The columns of every row that is read, by the names of the database's answers."""
    names = set()

    def note(_conn, cursor, *_):
        names.update(column[0] for column in cursor.description or ())

    engines = [conn.engine for conn in store._all] if hasattr(store, "_all") else [store._engine.sync_engine]
    for engine in engines:
        hooks.listen(engine, "after_cursor_execute", note)
    yield names
    for engine in engines:
        hooks.remove(engine, "after_cursor_execute", note)


async def test_a_list_of_events_reads_no_bodies(ledger, store):
    body = {"text": "x" * MIB}
    await ledger.accept([make_entry(body=body, dispatch={"message": "y" * MIB}) for _ in range(5)])
    with fetched(store) as names:
        page = await ledger.events(EventQuery(limit=500))
    assert len(page.events) == 5
    assert all(len(view.dispatches) == 1 for view in page.events)
    assert {"id", "received_at", "rule"} <= names
    assert not names & {"raw", "data", "headers", "body", "message"}
    with fetched(store) as names:
        detail = await ledger.event(page.events[0].id)
    assert {"raw", "body", "message"} <= names
    assert detail.dispatches[0].message == "y" * MIB


async def test_a_list_of_refused_requests_reads_no_bodies(ledger, store, clock):
    kept = Kept("POST", "https://relay/hooks/crm", {}, b"z" * MIB, clock.now + 60_000)
    fields = {"source": "crm", "status": 401, "reason": "signature", "hint": "another secret?", "remote": None}
    await ledger.reject(Rejection(id=new_id(), at=clock.now, headers={}, size=MIB, digest="0", kept=kept, **fields))
    with fetched(store) as names:
        assert len(await ledger.rejected(None, 500)) == 1
    assert "hint" in names
    assert not names & {"request", "body"}


def test_the_message_names_the_seconds():
    assert f"{faults.BROWSE_FOR:g} s" in str(faults.too_long())


async def test_a_query_that_begins_after_its_deadline_does_not_begin():
    """The timer found nothing to interrupt, and would not come again."""
    deadline, begun = Deadline(0), []
    while not deadline._interrupted:
        await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="takes longer than"):
        deadline.bound(lambda *_: begun.append(1))(None, 0)
    assert begun == []
