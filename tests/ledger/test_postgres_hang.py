"""A PostgreSQL that hangs instead of being away: nobody waits longer than the time-out, nothing piles up or is lost."""

import asyncio
import time
from contextlib import aclosing

import asyncpg
import pytest
from sqlalchemy import func, select

from relay.app.clock import boottime
from relay.errors import Unavailable
from relay.intake import Intake
from relay.ledger import Terms, open_ledger
from relay.ledger.queries import record
from relay.ledger.schema import dispatches, events, work
from relay.life import Signals
from relay.model import EventQuery, EventStatus, Recorded, new_id
from relay.rules import RuleSpec, compile_rules
from relay.telemetry import Metrics
from tests.hooks.listener import listen
from tests.ledger.build import created, make_entry

TERMS = Terms(owner="one", timeout=300)
TOO_LONG = 10.0
"""Seconds; the driver and the server give up after 25 and more."""


def opened(url):
    return open_ledger(url, TERMS, migrate=True)


async def count(ledger, *tables):
    def look(conn, _):
        return [conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]

    return await ledger.read(look)


def assert_nothing_waits(ledger):
    for lane in (ledger._accept, ledger._record, ledger._claim, ledger._settle, ledger._reject):
        assert not lane.waiting
        assert lane.size == 0


async def test_everybody_is_told_in_time_and_all_goes_on_afterwards(private_postgres):
    async with aclosing(await opened(private_postgres.url)) as ledger:
        await ledger.accept([make_entry("before")])
        [claim] = await ledger.claim(1)
        private_postgres.hang()
        try:
            names = [f"during-{number}" for number in range(300)]
            async with asyncio.timeout(TOO_LONG):
                answers = await asyncio.gather(
                    *(ledger.accept([make_entry(name)]) for name in names),
                    ledger.known([make_entry("before")]),
                    ledger.record(created(claim)),
                    ledger.claim(1),
                    ledger.wake(),
                    ledger.reserve(10),
                    ledger.due(1),
                    return_exceptions=True,
                )
            assert {type(answer) for answer in answers} == {Unavailable}
            assert "did not answer within 0.3 s" in str(answers[-1])
        finally:
            private_postgres.resume()
        receipts = await asyncio.gather(*(settled(ledger, name) for name in names))
        assert {receipt.status for receipt in receipts} <= {EventStatus.ACCEPTED, EventStatus.DUPLICATE}
        recorded = await again(ledger.record, created(claim))
        assert recorded.how in {Recorded.APPLIED, Recorded.LATE}
        assert [due.result.chat_uuid for due in await ledger.due(10)] == ["chat-1"]
        assert await count(ledger, events, dispatches) == [301, 301]
        assert_nothing_waits(ledger)


async def settled(ledger, name):
    [receipt] = await again(ledger.accept, [make_entry(name)])
    return receipt


async def again(deed, *args):
    """As whoever is told that it is away does: once more, until it is not."""
    while True:
        try:
            return await deed(*args)
        except Unavailable:
            await asyncio.sleep(0)


async def test_a_server_that_only_takes_no_connections_is_told_in_time(private_postgres):
    async with aclosing(await opened(private_postgres.url)) as ledger:
        ledger._store._let_go()
        await ledger._store._engine.dispose()
        private_postgres.freeze()
        try:
            async with asyncio.timeout(TOO_LONG):
                answers = await asyncio.gather(
                    *(ledger.accept([make_entry()]) for _ in range(5)),
                    ledger.known([make_entry()]),
                    return_exceptions=True,
                )
        finally:
            private_postgres.thaw()
        assert {type(answer) for answer in answers} == {Unavailable}
        assert (await settled(ledger, "after")).status is EventStatus.ACCEPTED


async def test_a_table_that_another_holds_locked_stops_only_who_needs_it(postgres_url):
    holder = await asyncpg.connect(postgres_url)
    async with aclosing(await opened(postgres_url)) as ledger:
        await ledger.accept([make_entry("before")])
        lock = holder.transaction()
        await lock.start()
        await holder.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(TOO_LONG):
            answers = await asyncio.gather(
                *(ledger.accept([make_entry(f"e{number}")]) for number in range(10)), return_exceptions=True
            )
        assert {type(answer) for answer in answers} == {Unavailable}
        assert await ledger.wake() == 0
        assert len(await ledger.due(1)) == 0
        await lock.rollback()
        for number in range(10):
            await settled(ledger, f"e{number}")
        assert await count(ledger, events, dispatches, work) == [11, 11, 11]
        assert len((await ledger.events(EventQuery())).events) == 11
    await holder.close()


async def test_a_move_whose_commit_came_through_after_all_is_kept_once(postgres_url):
    """Its rows are locked by the first until that ends; what is repeated meanwhile ends with the time-out as well."""
    async with aclosing(await opened(postgres_url)) as ledger, aclosing(await opened(postgres_url)) as slow:
        await ledger.accept([make_entry()])
        [claim] = await ledger.claim(1)
        locked, on = asyncio.Event(), asyncio.Event()

        async def hold():
            engine = slow._store._engine
            async with engine.begin() as conn:
                await conn.run_sync(
                    lambda sync: record.record(sync, 1, [record.Recording(created(claim))], terms=TERMS)
                )
                locked.set()
                await on.wait()

        first = asyncio.create_task(hold())
        await locked.wait()
        for _ in range(2):
            with pytest.raises(Unavailable, match="did not answer within"):
                await ledger.record(created(claim))
        on.set()
        await first
        assert (await again(ledger.record, created(claim))).how is Recorded.LATE
        assert [due.result.chat_uuid for due in await ledger.due(10)] == ["chat-1"]
        assert await count(ledger, work) == [0]


async def test_webhooks_are_answered_503_together_not_one_after_the_other(private_postgres):
    """Each needs a place below the high-water mark first, for which one of them asks."""
    async with aclosing(await opened(private_postgres.url)) as ledger:
        rules = compile_rules([RuleSpec(name="urgent", chat={"trigger": {"type": "draft"}})], {})
        quiet = {"metrics": Metrics(), "signals": Signals(), "boottime": boottime}
        intake = Intake(ledger, rules, high_water=1_000, ids=new_id, clock=lambda: int(time.time() * 1_000), **quiet)
        async with listen(intake=intake) as listener:
            private_postgres.hang()

            def body(number):
                return b'{"order": {"id": "%d"}, "status": "paid", "at": "2026-11-24T09:00:00Z"}' % number

            try:
                async with asyncio.timeout(TOO_LONG):
                    answers = await asyncio.gather(*(listener.send("shop", body(number)) for number in range(60)))
            finally:
                private_postgres.resume()
            assert {(status, headers["Retry-After"]) for status, headers, _ in answers} == {(503, "5")}
            await settled(ledger, "it answers")
            for number in range(60):
                status = 503
                while status == 503:
                    status, _, _ = await listener.send("shop", body(number))
                assert status in {200, 202}
        assert await count(ledger, events) == [61]
