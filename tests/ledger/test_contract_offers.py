"""Work that is handed on with the commit that creates it: as if a claim, or a look at the outbox, had followed."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select

from relay.errors import Overloaded, Unavailable
from relay.ledger import SqlLedger, Terms
from relay.ledger.schema import outbox, work
from relay.life import Signal
from relay.model import Recorded, Settled, State
from relay.slots import Slots
from tests.ledger.build import created, make_entry, waiting


class Taker:
    """Offers slots, and keeps what was handed on."""

    def __init__(self):
        self.items = []
        self.slots = Slots(Signal())
        self.slots.closed = False

    def offer(self, count=1):
        return self.slots.offer(count, self.items.extend)


@pytest.fixture
def calls():
    return Taker()


@pytest.fixture
def publishing():
    return Taker()


async def born(ledger, calls, **entry):
    await ledger.accept([make_entry(**entry)], calls.offer())
    return calls.items[-1]


async def rows_of(ledger, table):
    return await ledger.read(lambda conn, _: [dict(row) for row in conn.execute(select(table)).mappings()])


async def test_a_new_dispatch_is_claimed_as_a_claim_would_have_it(ledger, other, calls, clock):
    entry = make_entry("a", dispatch={"message": "Hello", "agent_uuid": "agent-0"}, reply_to="answers")
    await ledger.accept([entry], calls.offer())
    [born_row] = await rows_of(ledger, work)
    assert calls.slots.promised == 0
    assert await other.claim(10) == [], "it is taken"
    await ledger.give_back(())
    [claim] = await ledger.claim(1)
    [claimed_row] = await rows_of(ledger, work)
    again = {"fence": 1, "number": 1}
    assert replace(claim, fence=1, attempt=1) == calls.items[0]
    assert claimed_row | again == born_row
    assert (await ledger.record(created(claim))).how is Recorded.APPLIED


async def test_only_as_many_are_handed_on_as_were_offered(ledger, calls):
    await ledger.accept([make_entry(rules=("one", "two", "three")), make_entry()], calls.offer(2))
    assert [claim.dispatch.rule for claim in calls.items] == ["one", "two"]
    assert [claim.dispatch.rule for claim in await ledger.claim(10)] == ["three", "urgent"]


async def test_what_is_due_before_goes_first(ledger, calls, clock):
    await ledger.accept([make_entry(rules=("older",))])
    await ledger.accept([make_entry()], calls.offer())
    assert calls.items == []
    assert [claim.dispatch.rule for claim in await ledger.claim(10)] == ["older", "urgent"]


async def test_what_is_due_later_does_not_hold_it_up(ledger, calls):
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.record(waiting(claim, 5_000))
    assert (await born(ledger, calls)).state is State.SENDING


async def test_nothing_is_handed_on_during_a_pause(ledger, calls):
    await ledger.pause("circuit")
    await ledger.accept([make_entry()], calls.offer())
    assert (calls.items, await ledger.claim(1)) == ([], [])
    await ledger.resume("circuit")
    assert len(await ledger.claim(1)) == 1


async def test_the_rate_holds_for_what_is_handed_on(store, calls, clock):
    ledger = SqlLedger(store, Terms(owner="one", spacing=400))
    await ledger.accept([make_entry() for _ in range(5)], calls.offer(5))
    assert [claim.start_in for claim in calls.items] == [0, 400, 800]
    assert await ledger.claim(5) == []
    clock.now += 1_000
    assert [claim.start_in for claim in await ledger.claim(5)] == [200, 600]


async def test_a_duplicate_hands_nothing_on(ledger, calls):
    await born(ledger, calls, external_id="a")
    await ledger.accept([make_entry("a")], calls.offer())
    assert (len(calls.items), calls.slots.promised, calls.slots.unsure) == (1, 0, False)


async def test_one_that_is_handed_on_and_not_begun_is_given_back(ledger, calls):
    claim = await born(ledger, calls)
    assert await ledger.give_back({(claim.dispatch.id, claim.fence)}) == 0
    assert await ledger.give_back({(claim.dispatch.id, claim.fence - 1)}) == 1
    [again] = await ledger.claim(1)
    assert (again.attempts, again.attempt, again.fence) == (1, 2, 2)


async def test_a_lease_that_ran_out_on_one_leaves_a_doubt(ledger, calls, clock):
    await born(ledger, calls)
    clock.now += 40_000
    assert await ledger.sweep() == 1
    clock.now += 1_000
    [doubt] = await ledger.doubts(1)
    assert (doubt.claim.state, doubt.first_attempt_at) == (State.CHECKING, clock.now - 41_000)


async def test_the_caller_may_be_cancelled(ledger, calls):
    accepting = asyncio.create_task(ledger.accept([make_entry()], calls.offer()))
    await asyncio.sleep(0)
    accepting.cancel()
    await asyncio.gather(accepting, return_exceptions=True)
    await asyncio.wait_for(calls.slots.end_offers(), 60)  # the commit goes on without its caller
    assert len(calls.items) == 1
    assert await ledger.wake() is None


async def test_an_offer_to_a_ledger_that_takes_nothing_is_lost(ledger, calls, publishing):
    claim = await born(ledger, calls)
    await ledger.aclose()
    with pytest.raises(Unavailable):
        await ledger.accept([make_entry()], calls.offer())
    with pytest.raises(Unavailable):
        await ledger.record(created(claim), publishing.offer(), calls.offer())
    assert (calls.slots.promised, publishing.slots.promised) == (0, 0)
    assert (calls.slots.unsure, publishing.slots.unsure) == (True, True)


async def test_an_offer_that_finds_the_lane_full_is_lost(ledger, calls):
    ledger._accept.bound = replace(ledger._accept.bound, items=0)
    with pytest.raises(Overloaded):
        await ledger.accept([make_entry()], calls.offer())
    assert (calls.slots.promised, calls.slots.unsure) == (0, True)


async def test_results_are_leased_to_the_publisher_that_offers_to_take_them(ledger, other, calls, publishing, clock):
    claim = await born(ledger, calls, reply_to="answers")
    await ledger.record(created(claim), publishing.offer(2))
    assert [(due.result.dispatch_id, due.destination) for due in publishing.items] == [
        (claim.dispatch.id, ""),
        (claim.dispatch.id, "answers"),
    ]
    assert await other.due(10) == []
    assert await ledger.return_deliveries({(publishing.items[0].result.id, "")}) == 1
    [due] = await other.due(10)
    assert (due.destination, due.result) == ("answers", publishing.items[1].result)
    await other.settle(Settled(due.result.id, "answers", confirmed=True))
    clock.now += 60_000
    [due] = await other.due(10)
    assert due.destination == "", "its lease ended"


async def test_results_that_do_not_fit_are_left_in_the_outbox(ledger, calls, publishing):
    claim = await born(ledger, calls, reply_to="answers")
    await ledger.record(created(claim), publishing.offer(1))
    assert publishing.items == []
    assert len(await ledger.due(10)) == 2


async def test_a_retry_of_a_delivery_belongs_to_nobody(ledger, calls, publishing):
    claim = await born(ledger, calls)
    await ledger.record(created(claim), publishing.offer())
    await ledger.settle(Settled(publishing.items[0].result.id, "", confirmed=False, retry_in=1_000))
    [row] = await rows_of(ledger, outbox)
    assert (row["owner"], row["lease_until"], row["tries"]) == (None, None, 1)
    assert await ledger.return_deliveries(()) == 0


async def test_the_message_follows_its_chat_in_the_same_commit(ledger, other, calls, clock):
    claim = await born(ledger, calls, dispatch={"message": "Hello"})
    fences = []
    clock.now += 700
    await ledger.record(created(claim), None, calls.slots.offer(1, fences.extend))
    assert fences == [2]
    assert (await other.claim(1), await ledger.wake()) == ([], None)
    [chat, message] = (await ledger.event(claim.dispatch.id)).attempts
    assert (chat.kind, chat.ended_at, chat.verdict) == ("chat", clock.now, "created")
    assert (message.kind, message.number, message.started_at, message.ended_at) == ("message", 1, clock.now, None)
    said = replace(created(claim), was=State.MESSAGING, to=State.DONE, fence=2, attempt=1, chat=None, results=())
    assert (await ledger.record(said)).how is Recorded.APPLIED
    assert [attempt.ended_at for attempt in (await ledger.event(claim.dispatch.id)).attempts] == [clock.now] * 2


async def test_no_message_follows_during_a_pause(ledger, calls):
    claim = await born(ledger, calls, dispatch={"message": "Hello"})
    await ledger.pause("unauthorized")
    await ledger.record(created(claim), None, calls.offer())
    assert (len(calls.items), calls.slots.promised) == (1, 0)
    await ledger.resume("unauthorized")
    [again] = await ledger.claim(1)
    assert (again.state, again.attempt) == (State.MESSAGING, 1)


async def test_no_message_follows_a_dispatch_whose_lease_was_lost(ledger, other, calls, clock):
    claim = await born(ledger, calls, dispatch={"message": "Hello"})
    clock.now += 40_000
    await other.sweep()
    assert (await ledger.record(created(claim), None, calls.offer())).how is Recorded.ADOPTED
    assert len(calls.items) == 1
    assert (await other.claim(1))[0].state is State.MESSAGING
