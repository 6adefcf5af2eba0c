"""What one replica decides while others are in the middle of changing it, and may undo that."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from relay.errors import Unavailable
from relay.ledger import SqlLedger, Terms
from relay.ledger.engine.postgres import connect
from tests.ledger.build import created, make_entry
from tests.ledger.within import Within, until_blocked

WAIT = 60_000


def burst(keep="last"):
    """An event whose window closes a minute after its first one, whatever comes."""
    plan = {"key": "contact-1", "wait": WAIT, "max": WAIT, "keep": keep, "size": 100}
    return make_entry(dispatch={"plan": {"debounce": plan}})


def in_turn():
    """An event of a queue."""
    return make_entry(dispatch={"plan": {"order": {"key": "contact-1"}}})


async def states(ledger, *entries):
    views = [(await ledger.event(entry.event.id)).dispatches[0] for entry in entries]
    return [str(view.state) for view in views]


@asynccontextmanager
async def transaction(url, now):
    """A replica's transaction, which is left open."""
    engine = connect(url, password=None, ca_file=None)
    try:
        async with engine.connect() as conn:
            yield conn, SqlLedger(Within(conn, now), Terms(owner="slow"))
    finally:
        await engine.dispose()


async def test_an_event_that_is_taken_in_while_its_window_closes_is_in_it(replicas, clock, migrated_url):
    """It was held for ever: its window was gone, and nothing else would have let it go."""
    one, other = replicas
    first, late = burst(), burst()
    await one.accept([first])
    clock.now += WAIT
    async with transaction(migrated_url, clock.now - 1) as (conn, slow):
        await slow.accept([late])
        closing = asyncio.create_task(one.close_windows({}))
        await until_blocked(other, closing)
        await conn.commit()
    await closing
    await other.close_windows({})
    assert await states(one, first, late) == ["superseded", "ready"]


async def test_a_dispatch_whose_cancel_is_undone_while_its_window_closes_stays_in_it(replicas, clock, migrated_url):
    one, other = replicas
    first, last = burst(), burst()
    await one.accept([first])
    await one.accept([last])
    clock.now += WAIT
    async with transaction(migrated_url, clock.now) as (conn, slow):
        await slow.cancel(last.dispatches[0].id)
        await one.close_windows({})
        await conn.rollback()
    await other.close_windows({})
    assert await states(one, first, last) == ["superseded", "ready"]


@pytest.mark.parametrize("behind", [0, 1])
async def test_who_is_next_in_a_queue_and_is_being_ended_is_not_passed_over(replicas, migrated_url, clock, behind):
    """Its end may be undone: then it went after the others, or was held until another event of its key came."""
    one, other = replicas
    entries = [in_turn() for _ in range(2 + behind)]
    for entry in entries:
        await one.accept([entry])
    [claim] = await one.claim(10)
    lock = text("SELECT 1 FROM work WHERE dispatch_id = :of FOR UPDATE")
    async with transaction(migrated_url, clock.now) as (conn, _):
        await conn.execute(lock, {"of": entries[1].dispatches[0].id})
        with pytest.raises(Unavailable, match="gave up the same transaction"):
            await one.record(created(claim))
        await conn.rollback()
    await one.record(created(claim))
    assert await states(other, *entries) == ["done", "ready", "held"][: 2 + behind]
