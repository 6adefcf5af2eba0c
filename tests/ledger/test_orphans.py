"""Rows put in by hand that belong to nothing: they are told and removed, and the others go on."""

import pytest
from sqlalchemy import delete, insert, select
from structlog.testing import capture_logs

from relay.errors import NotFound
from relay.ledger.schema import attempts, dispatches, events, outbox, work
from relay.model import Failure, Recorded, Settled, State, Verdict, new_id
from tests.ledger.build import checking, created, make_entry, move, waiting


async def put(ledger, table, **row):
    await ledger.write(lambda conn, _: conn.execute(insert(table).values(row)))


async def drop(ledger, table, condition):
    await ledger.write(lambda conn, _: conn.execute(delete(table).where(condition)))


async def ids(ledger, column):
    return await ledger.read(lambda conn, _: list(conn.execute(select(column)).scalars()))


@pytest.fixture
def told():
    """What was logged of orphans until now."""
    with capture_logs() as lines:
        yield lambda: [str(line) for line in lines if line["event"] == "ledger.orphan"]


async def test_a_claim_passes_over_work_without_its_dispatch(ledger, clock, told):
    lone = new_id()
    await put(ledger, work, dispatch_id=lone, source="helpdesk", run=1, state="ready", due_at=clock.now - 5)
    await ledger.accept([make_entry(rules=("one", "two"))])
    assert await ledger.wake() == 0
    claims = await ledger.claim(10)
    assert [claim.dispatch.rule for claim in claims] == ["one", "two"]
    [line] = told()
    assert lone in line
    assert lone not in await ids(ledger, work.c.dispatch_id)
    assert lone not in await ids(ledger, attempts.c.dispatch_id), "nothing began"
    assert await ledger.wake() is None


async def test_a_claim_that_finds_nothing_else_leaves_the_next_one_room(ledger, clock):
    for _ in range(3):
        await put(ledger, work, dispatch_id=new_id(), source="helpdesk", run=1, state="ready", due_at=clock.now - 5)
    await ledger.accept([make_entry()])
    assert await ledger.claim(3) == []
    assert len(await ledger.claim(3)) == 1


async def test_a_dispatch_without_its_event_ends(ledger, clock, told):
    gone, good = make_entry(), make_entry()
    await ledger.accept([gone])
    await ledger.accept([good])
    await drop(ledger, events, events.c.id == gone.event.id)
    assert [claim.about.event_id for claim in await ledger.claim(10)] == [good.event.id]
    assert gone.dispatches[0].id in told()[0]
    ended = select(dispatches.c.state, dispatches.c.failure_code).where(dispatches.c.id == gone.dispatches[0].id)
    assert await ledger.read(lambda conn, _: tuple(conn.execute(ended).one())) == ("failed", "orphan")


async def test_doubts_pass_over_it_and_the_sweep_removes_it(ledger, clock, told):
    lone = new_id()
    await put(ledger, work, dispatch_id=lone, source="helpdesk", run=1, state="checking", look_at=clock.now - 5)
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.record(checking(claim))
    assert [doubt.claim.dispatch.id for doubt in await ledger.doubts(1)] == [claim.dispatch.id]
    assert (await ledger.gauges()).checking == 2
    await ledger.sweep()
    assert lone in told()[0]
    assert (await ledger.gauges()).checking == 1


async def test_a_lease_that_ran_out_on_one_ends_with_it(ledger, clock, told):
    lone = new_id()
    await put(ledger, work, dispatch_id=lone, source="helpdesk", run=1, state="sending", lease_until=clock.now - 5)
    await ledger.sweep()
    clock.now += 2_000
    assert await ledger.doubts(10) == []
    await ledger.sweep()
    assert lone in told()[0]
    assert await ids(ledger, work.c.dispatch_id) == []


async def test_a_delivery_without_its_result_is_passed_over(ledger, clock, told):
    await put(ledger, outbox, result_id="gone.1", destination="", created_at=clock.now - 5, due_at=clock.now - 5)
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    assert [due.result.dispatch_id for due in await ledger.due(10)] == [claim.dispatch.id]
    assert "gone.1" in told()[0]
    assert await ids(ledger, outbox.c.result_id) == [f"{claim.dispatch.id}.1"]
    await ledger.settle(Settled("gone.1", "", confirmed=False, undeliverable=True, error="no"))


@pytest.mark.parametrize("missing", [events, dispatches], ids=["event", "dispatch"])
async def test_the_outcome_of_one_that_is_gone_by_now_is_told(ledger, missing):
    """Its work is still there: the result that the worker brings is published as any."""
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await drop(ledger, missing, missing.c.id.is_not(None))
    assert (await ledger.record(created(claim))).how is Recorded.APPLIED
    [due] = await ledger.due(10)
    assert due.result.chat_uuid == "chat-1"
    assert await ids(ledger, work.c.dispatch_id) == []


async def test_a_cancel_asked_for_one_that_is_gone_by_now_stops_nobody(ledger):
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.cancel(claim.dispatch.id)
    await drop(ledger, dispatches, dispatches.c.id == claim.dispatch.id)
    assert (await ledger.record(waiting(claim))).how is Recorded.APPLIED
    assert await ledger.claim(1) == []
    assert await ids(ledger, work.c.dispatch_id) == []


@pytest.mark.parametrize("missing", [events, dispatches], ids=["event", "dispatch"])
async def test_a_chat_that_comes_when_all_is_gone_is_in_the_log(ledger, told, missing):
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=Failure("refused", "no", 400)))
    await drop(ledger, missing, missing.c.id.is_not(None))
    assert (await ledger.record(created(claim))).how is Recorded.LATE
    [line] = told()
    assert claim.dispatch.id in line
    assert "chat-1" in line


async def test_a_person_is_told_that_there_is_no_such_dispatch(ledger):
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=Failure("refused", "no", 400)))
    await drop(ledger, events, events.c.id.is_not(None))
    for deed in (ledger.retry(claim.dispatch.id, None), ledger.cancel(claim.dispatch.id)):
        with pytest.raises(NotFound, match="it may have been pruned"):
            await deed
    with pytest.raises(NotFound):
        await ledger.dispatch(claim.dispatch.id)
