"""The connection to PostgreSQL is lost just at COMMIT: nobody knows whether it happened, and nothing happens twice."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select

from relay.errors import Unavailable
from relay.intake import Intake
from relay.ledger import Terms, open_ledger
from relay.ledger.schema import dispatches, events, work
from relay.life import Signals
from relay.model import EventStatus, Recorded, new_id
from relay.rules import RuleSpec, compile_rules
from relay.telemetry import Metrics
from tests.hooks.listener import listen
from tests.ledger.build import created, make_entry
from tests.services.proxy import proxying

MARK = "cut-me-off"
WHERE = pytest.mark.parametrize("where", ["request", "reply"])
"""The COMMIT is lost on its way there, or its answer on the way back: only then it has happened."""


@asynccontextmanager
async def opened(postgres_url, mark=MARK):
    """A ledger behind a proxy."""
    async with proxying(postgres_url, mark.encode()) as proxy:
        ledger = await open_ledger(proxy.url, Terms(owner="one"), migrate=True)
        try:
            yield ledger, proxy
        finally:
            await ledger.aclose()


async def count(ledger, *tables):
    """How many rows each of the tables has."""

    def look(conn, _):
        return [conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]

    return await ledger.read(look)


@WHERE
async def test_an_event_is_unknown_then_and_its_repeat_makes_it_one(postgres_url, where):
    async with opened(postgres_url) as (ledger, proxy):
        entry = make_entry(MARK)
        proxy.cut = where
        with pytest.raises(Unavailable, match="database is away"):
            await ledger.accept([entry])
        assert proxy.commits == 1, "it is not tried again unasked"
        proxy.cut = ""
        [receipt] = await ledger.accept([make_entry(MARK)])
        happened = where == "reply"
        assert receipt.status is (EventStatus.DUPLICATE if happened else EventStatus.ACCEPTED)
        assert (receipt.id == entry.event.id) is happened
        [again] = await ledger.accept([make_entry(MARK)])
        assert (again.status, again.id, again.dispatches) == (EventStatus.DUPLICATE, receipt.id, receipt.dispatches)
        assert await count(ledger, events, dispatches, work) == [1, 1, 1]


@WHERE
async def test_the_same_delivery_tried_again_by_its_consumer_is_one_event(postgres_url, where):
    """A message that was not acknowledged is decoded once and handed in until it is taken."""
    async with opened(postgres_url) as (ledger, proxy):
        entry = make_entry(MARK)
        proxy.cut = where
        with pytest.raises(Unavailable):
            await ledger.accept([entry])
        proxy.cut = ""
        [receipt] = await ledger.accept([entry])
        assert receipt.id == entry.event.id
        assert await count(ledger, events, dispatches, work) == [1, 1, 1]


@WHERE
async def test_all_who_share_the_commit_are_told_so(postgres_url, where):
    async with opened(postgres_url) as (ledger, proxy):
        proxy.cut = where
        names = [f"{MARK}-{number}" for number in range(20)]
        answers = await asyncio.gather(*(ledger.accept([make_entry(name)]) for name in names), return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
        assert 1 <= proxy.commits < 20, "in groups"
        proxy.cut = ""
        receipts = await asyncio.gather(*(ledger.accept([make_entry(name)]) for name in names))
        wanted = EventStatus.DUPLICATE if where == "reply" else EventStatus.ACCEPTED
        assert {receipt.status for [receipt] in receipts} == {wanted}
        assert await count(ledger, events, dispatches, work) == [20, 20, 20]


@WHERE
async def test_a_webhook_is_answered_503_and_its_repeat_is_known_or_new(postgres_url, where):
    async with opened(postgres_url) as (ledger, proxy):
        rules = compile_rules([RuleSpec(name="urgent", chat={"trigger": {"type": "draft"}})], {})
        quiet = {"metrics": Metrics(), "signals": Signals(), "clock": lambda: 0, "boottime": lambda: 0}
        intake = Intake(ledger, rules, high_water=1_000, ids=new_id, **quiet)
        async with listen(intake=intake) as listener:
            proxy.cut = where
            body = b'{"order": {"id": "%s"}, "status": "paid", "at": "2026-11-24T09:00:00Z"}' % MARK.encode()
            status, headers, answer = await listener.send("shop", body)
            assert (status, answer["type"].rpartition("/")[2], headers["Retry-After"]) == (503, "unavailable", "5")
            proxy.cut = ""
            status, _, answer = await listener.send("shop", body)
            [event] = answer["events"]
            assert (status, event["status"]) == ((200, "duplicate") if where == "reply" else (202, "accepted"))
            assert len(event["dispatches"]) == 1
        assert await count(ledger, events, dispatches, work) == [1, 1, 1]


@WHERE
async def test_a_chat_is_told_once_however_often_its_move_is_recorded(postgres_url, where):
    """The worker records what became of a call until the ledger says that it has it."""
    async with opened(postgres_url, "chat-1") as (ledger, proxy):
        await ledger.accept([make_entry()])
        [claim] = await ledger.claim(1)
        proxy.cut = where
        with pytest.raises(Unavailable):
            await ledger.record(created(claim))
        proxy.cut = ""
        recorded = await ledger.record(created(claim))
        assert recorded.how is (Recorded.LATE if where == "reply" else Recorded.APPLIED)
        assert [due.result.chat_uuid for due in await ledger.due(10)] == ["chat-1"]
        assert await count(ledger, work) == [0]
