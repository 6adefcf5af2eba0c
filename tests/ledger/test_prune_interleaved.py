"""Pruning beside another replica that adds to what is pruned: whichever is first is so as a whole.

Each of the two is stopped before each of its statements, and before its commit, while the other runs as far as it can.
"""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import event as hooks
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_cursor
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from relay.errors import NotFound
from relay.ledger.engine.dial import StraightConnection
from relay.model import Failure, ParkReason, Recorded, State, Verdict
from tests.ledger.build import created, made_at, make_dispatch, make_entry, move

DAY = 86_400_000
SOUND = {
    "work without a dispatch": "work w WHERE NOT EXISTS (SELECT 1 FROM dispatches d WHERE d.id = w.dispatch_id)",
    "a dispatch without its event": "dispatches d WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = d.event_id)",
    "a dispatch neither live nor ended": "dispatches d WHERE state IS NULL AND NOT EXISTS"
    " (SELECT 1 FROM work w WHERE w.dispatch_id = d.id)",
    "an attempt without a dispatch": "attempts a WHERE NOT EXISTS"
    " (SELECT 1 FROM dispatches d WHERE d.id = a.dispatch_id)",
    "a result without its event": "results r WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = r.event_id)",
    "a delivery without its result": "outbox o WHERE NOT EXISTS (SELECT 1 FROM results r WHERE r.id = o.result_id)",
}

CALLS = {AsyncAdapt_asyncpg_cursor: ("execute", "executemany"), StraightConnection: ("fetch", "executemany")}


class Stop:
    """Stops a replica before its statement number `at` (its commit counts as the last one) until `on` is set.

    Statements are counted where SQLAlchemy and the ledger hand them to the driver, each in its greenlet.
    """

    def __init__(self, ledger, at):
        ledger._store._let_go()  # so that each connection is seen when it is taken
        self._engine = ledger._store._engine.sync_engine
        self._left = at
        self._connections = []
        self._patch = pytest.MonkeyPatch()
        self.reached, self.on = asyncio.Event(), asyncio.Event()

    def __enter__(self):
        hooks.listen(self._engine, "checkout", self._remember)
        hooks.listen(self._engine, "commit", self._pass)
        for kind, names in CALLS.items():
            for name in names:
                self._patch.setattr(kind, name, self._stopping(kind, name))
        return self

    def __exit__(self, *_):
        self._patch.undo()
        hooks.remove(self._engine, "checkout", self._remember)
        hooks.remove(self._engine, "commit", self._pass)

    def _remember(self, connection, *_):
        self._connections.append(connection)

    def _stopping(self, kind, name):
        execute = getattr(kind, name)

        def stop_and_execute(called, *args):
            raw = called if kind is StraightConnection else called._connection
            if in_greenlet() and any(raw is connection.driver_connection for connection in self._connections):
                self._pass()
            return execute(called, *args)

        return stop_and_execute

    def _pass(self, *_):
        self._left -= 1
        if self._left == -1:
            self.reached.set()
            await_only(self.on.wait())


async def make_old(ledger, clock, deed):
    """An event past its time, and the claim of its one dispatch, which has ended (or, to be cancelled, is parked)."""
    entry = made_at(clock.now, make_entry(None))
    await ledger.accept([entry])
    [claim] = await ledger.claim(1)
    if deed == "cancel":
        await ledger.record(move(claim, State.PARKED, verdict=Verdict.UNKNOWN, park=ParkReason.UNKNOWN))
    else:
        failure = Failure("refused", "no", 400)
        await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=failure))
    clock.now += 36 * DAY
    return entry, claim


async def do(ledger, deed, entry, claim):
    if deed == "retry":
        return await ledger.retry(claim.dispatch.id, None)
    if deed == "cancel":
        return await ledger.cancel(claim.dispatch.id)
    if deed == "late chat":
        return await ledger.record(created(claim))
    again = make_dispatch(entry.event, "later")
    return await ledger.extend(entry.event.id, replace(entry, dispatches=(again,)), again=True)


async def both(one, two, other, at):
    """Run `one` up to its statement `at`, then `two` as far as it comes, then both to their ends.

    None when `one` has no such statement.
    """
    ledger, work = one
    with Stop(ledger, at) as stop:
        first = asyncio.create_task(work())
        reached = asyncio.create_task(stop.reached.wait())
        await asyncio.wait({first, reached}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.reached.is_set():
            reached.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return None
        second = asyncio.create_task(two())
        while not (second.done() or await waits(other)):
            await asyncio.sleep(0)
        stop.on.set()
        return await asyncio.gather(first, second, return_exceptions=True)


async def waits(other):
    """Whether somebody waits for a lock in this database."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return await other.fetchval(asked)


async def flaws(ledger):
    def look(conn, _):
        return [name for name, rows in SOUND.items() if conn.execute(text(f"SELECT 1 FROM {rows}")).first()]

    return await ledger.read(look)


@pytest.mark.parametrize("first", ["prune", "deed"])
@pytest.mark.parametrize(
    ("deed", "by"),
    [
        *(("retry", "rows"), ("replay", "rows"), ("cancel", "rows"), ("late chat", "rows")),
        *(("retry", "days"), ("replay", "days"), ("late chat", "days")),
    ],
)
async def test_either_comes_before_the_other_as_a_whole(replicas, clock, migrated_url, deed, by, first):
    one, two = replicas
    other = await asyncpg.connect(migrated_url)
    outcomes, at = set(), 0
    while True:
        if by == "days":
            await one.make_days()
        entry, claim = await make_old(one, clock, deed)

        async def act(entry=entry, claim=claim):
            return await do(two, deed, entry, claim)

        run = both((one, one.prune), act, other, at) if first == "prune" else both((two, act), one.prune, other, at)
        answers = await run
        if answers is None:
            break
        pruned, done = answers if first == "prune" else reversed(answers)
        assert not isinstance(pruned, BaseException), (at, pruned)
        assert isinstance(done, NotFound) or not isinstance(done, BaseException), (at, done)
        assert await flaws(one) == [], at
        there = await is_there(one, entry)
        if deed == "late chat":
            assert done.how in {Recorded.DUPLICATED, Recorded.LATE}
            assert there is (done.how is Recorded.DUPLICATED), at
        else:
            assert there is not isinstance(done, NotFound), (at, done)
        outcomes.add(there)
        await one.claim(10)  # nothing that was left behind stops it
        await clear(one)
        at += 1
    assert at > 3, "it has statements"
    if deed != "cancel":  # what is parked is never chosen
        assert outcomes == {True, False} or first == "deed", "both came first somewhere"
    await other.close()


async def is_there(ledger, entry):
    try:
        await ledger.load(entry.event.id)
    except NotFound:
        return False
    return True


async def clear(ledger):
    def empty(conn, _):
        conn.execute(text("TRUNCATE events, dispatches, work, attempts, results, outbox, seen"))

    await ledger.write(empty)
