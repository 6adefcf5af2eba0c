"""What every ledger promises of the first call of a dispatch in a thread, which alone may be held, parked or ended."""

from dataclasses import replace

import pytest

from relay.model import Chat, Failure, HeldBy, State, Verdict
from tests.ledger.build import created, make_entry, move

MINUTE = 60_000
HOUR = 60 * MINUTE
CLOSED = {"open": ["09:00-18:00 UTC"], "except": []}
NOON = 1_800_000_000_000 // (24 * HOUR) * 24 * HOUR + 12 * HOUR
ONE_A_MINUTE = {"limit": [{"key": None, "rate": [1, MINUTE], "then": "hold"}]}


def ticket(key="t-1", **plan):
    thread = {"key": key, "idle": 100 * HOUR}
    return make_entry(dispatch={"plan": {"thread": thread, **plan}, "message": "first", "follow": "later"})


def first(entry):
    return entry.dispatches[0].id


async def view_of(ledger, entry):
    [view] = (await ledger.event(entry.event.id)).dispatches
    return view


async def claimed(ledger):
    """The ids of the dispatches that are claimed."""
    return [claim.dispatch.id for claim in await ledger.claim(10)]


async def finish(ledger, claim, uuid="chat-1"):
    """Make the chat and say the first message, or say the follow-up."""
    if claim.state is State.SENDING:
        await ledger.record(created(claim, Chat(uuid, created_at=0, agent_uuid="agent-1")))
        [claim] = await ledger.claim(10)
    await ledger.record(move(claim, State.DONE, verdict=Verdict.SENT, message_uuid=f"m-{claim.dispatch.id}"))


async def begin(ledger, *keys, **plan):
    """The first dispatches of these threads make their chats."""
    for key in keys or ("t-1",):
        await ledger.accept([ticket(key, **plan)])
        [claim] = await ledger.claim(10)
        await finish(ledger, claim, f"chat of {key}")


async def hold_by_limit(ledger, **plan):
    """A follow-up for which its limit has no room now."""
    await begin(ledger, **ONE_A_MINUTE)
    await ledger.accept([entry := ticket(**ONE_A_MINUTE, **plan)])
    assert await claimed(ledger) == []
    assert (await view_of(ledger, entry)).held.by is HeldBy.LIMIT
    return entry


async def test_a_follow_up_that_a_limit_has_held_waits_for_room_and_takes_it(ledger, clock):
    held = await hold_by_limit(ledger)
    await ledger.accept([other := ticket("t-2", priority=9, **ONE_A_MINUTE)])
    for _ in range(2):
        clock.now += MINUTE
        [claim] = await ledger.claim(10)
        assert claim.dispatch.id == first(other)
        await finish(ledger, claim, "chat of t-2")
        await ledger.accept([other := ticket("t-2", priority=9, **ONE_A_MINUTE)])
    await ledger.cancel(first(other))
    clock.now += MINUTE
    [claim] = await ledger.claim(10)
    assert (claim.dispatch.id, claim.follows, claim.attempts) == (first(held), True, 1)
    await ledger.accept([ticket("t-3", **ONE_A_MINUTE)])
    assert await claimed(ledger) == []


async def test_a_follow_up_that_a_limit_has_held_is_held_by_a_pause(ledger, clock):
    held = await hold_by_limit(ledger)
    await ledger.pause_rule("urgent", paused=True)
    await ledger.paused_rules()
    clock.now += MINUTE
    assert await claimed(ledger) == []
    assert (await view_of(ledger, held)).held.by is HeldBy.PAUSE


async def test_a_follow_up_that_a_limit_has_held_waits_till_its_schedule_opens(ledger, clock):
    clock.now = NOON + 6 * HOUR - MINUTE
    held = await hold_by_limit(ledger, schedule=CLOSED)
    clock.now += MINUTE
    assert await claimed(ledger) == []
    assert (await view_of(ledger, held)).held.by is HeldBy.SCHEDULE


async def test_a_follow_up_that_a_limit_has_held_twice_expires(ledger, clock):
    held = await hold_by_limit(ledger, expires=2 * MINUTE)
    await ledger.accept([ticket("t-2", priority=9, **ONE_A_MINUTE)])
    clock.now += MINUTE
    assert len(await claimed(ledger)) == 1
    clock.now += MINUTE
    assert await claimed(ledger) == []
    assert (await view_of(ledger, held)).state is State.EXPIRED


async def test_the_loop_guard_counts_a_follow_up_once_however_often_it_is_held(ledger, clock):
    loop = {"loop": {"key": "k", "trips": [2, HOUR]}}
    held = await hold_by_limit(ledger, **loop)
    await ledger.accept([ticket("t-2", priority=9, **ONE_A_MINUTE)])
    for expected in (False, True):
        clock.now += MINUTE
        assert (first(held) in await claimed(ledger)) is expected
    await ledger.accept([ticket("t-3", **loop)])
    assert len(await claimed(ledger)) == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_a_follow_up_that_is_given_back_has_not_begun(ledger, clock, times):
    await begin(ledger)
    await ledger.accept([entry := ticket(expires=MINUTE)])
    for _ in range(times):
        assert await claimed(ledger) == [first(entry)]
        await ledger.give_back(())
        clock.now += 1_000
    clock.now += MINUTE
    assert [dispatch.id for dispatch in await ledger.expire()] == [first(entry)]


async def test_a_call_to_say_a_follow_up_has_begun(ledger, clock):
    await begin(ledger)
    await ledger.accept([entry := ticket(expires=MINUTE, **ONE_A_MINUTE)])
    for _ in range(3):
        [claim] = await ledger.claim(10)
        assert claim.dispatch.id == first(entry)
        again = move(claim, State.MESSAGING, verdict=Verdict.RETRYABLE, failure=Failure("retryable", "no"), due_in=1)
        await ledger.record(again)
        clock.now += MINUTE
    assert await ledger.expire() == []


async def lose_chat(ledger, clock, **plan):
    """A follow-up that finds the chat of its thread gone."""
    await begin(ledger, **plan)
    await ledger.accept([entry := ticket(**plan)])
    [claim] = await ledger.claim(10)
    gone = Failure("chatNotFound", "gone", 404)
    clock.now += 1_000
    await ledger.record(move(claim, State.READY, verdict=Verdict.PERMANENT, failure=gone, due_in=0, forgets=True))
    return entry


@pytest.mark.parametrize(
    "plan",
    [
        {"limit": [{"key": None, "rate": [2, HOUR], "then": "hold"}]},
        {"loop": {"key": "k", "trips": [2, HOUR]}},
        {"expires": 1_000},
        {"schedule": CLOSED},
        {},
    ],
    ids=["limit", "loop", "expires", "schedule", "pause"],
)
async def test_the_one_that_finds_the_chat_gone_makes_a_new_one_whatever_its_keys_say(ledger, clock, plan):
    clock.now = NOON + 6 * HOUR - 1_000
    entry = await lose_chat(ledger, clock, **plan)
    await ledger.pause_rule("urgent", paused=not plan)
    await ledger.paused_rules()
    assert await ledger.expire() == []
    [claim] = await ledger.claim(10)
    assert (claim.dispatch.id, claim.state, claim.attempt) == (first(entry), State.SENDING, 1)
    assert (claim.attempts, claim.waited) == (2, 1_000)


async def test_an_event_does_not_cancel_the_one_that_finds_the_chat_gone(ledger, clock):
    await begin(ledger)
    await ledger.accept([entry := ticket(delay={"for": 1_000, "key": "k"})])
    clock.now += 1_000
    [claim] = await ledger.claim(10)
    await ledger.record(move(claim, State.READY, verdict=Verdict.PERMANENT, due_in=0, forgets=True))
    await ledger.accept([replace(make_entry(rules=()), cancels=(("urgent", "k"),))])
    assert await claimed(ledger) == [first(entry)]


def budget(*, chats=None, credits_=None):
    """So many chats or credits a day."""
    rates = {"chats": chats and [chats, "d"], "credits": credits_ and [credits_, "d"]}
    return {"budget": {"key": None, **rates, "then": "hold", "warn": 0.8, "zone": "UTC"}}


async def test_a_budget_of_chats_counts_and_holds_what_makes_a_chat(ledger, other, clock):
    plan = budget(chats=2)
    await begin(ledger, **plan)
    for uuid in "abc":
        await other.accept([entry := ticket(**plan)])
        assert (await other.foresee(ticket(**plan)))[0].dispatch.hold.by is HeldBy.THREAD
        [claim] = await other.claim(10)
        assert (claim.dispatch.id, claim.follows) == (first(entry), True)
        await finish(other, claim, uuid)
        assert (await other.foresee(ticket(**plan)))[0].dispatch.state is State.MESSAGING
    await begin(other, "t-2", **plan)
    await ledger.accept([follows := ticket(**plan), makes := ticket("t-3", **plan)])
    assert await claimed(ledger) == [first(follows)]
    assert (await view_of(ledger, makes)).held.by is HeldBy.BUDGET
    assert (await ledger.foresee(ticket("t-4", **plan)))[0].dispatch.hold.by is HeldBy.BUDGET


async def test_a_budget_of_credits_holds_follow_ups_too(ledger):
    plan = budget(chats=1, credits_=100)
    await begin(ledger, **plan)
    await ledger.measure("urgent", plan["budget"], 100.0)
    await ledger.accept([entry := ticket(**plan)])
    assert await claimed(ledger) == []
    view = await view_of(ledger, entry)
    assert (view.held.by, view.failure and view.failure.code) == (HeldBy.BUDGET, None)


async def test_a_chat_in_place_of_one_that_is_gone_counts_for_the_budget_and_is_made_past_it(ledger, clock):
    plan = budget(chats=2)
    entry = await lose_chat(ledger, clock, **plan)
    for _ in range(2):
        assert await claimed(ledger) == [first(entry)]
        await ledger.give_back(())
    assert (await ledger.measure("urgent", plan["budget"], None)).shares == {"chats": 1}
    [claim] = await ledger.claim(10)
    await finish(ledger, claim, "chat-2")
    await ledger.accept([again := ticket(**plan)])
    [claim] = await ledger.claim(10)
    await ledger.record(move(claim, State.READY, verdict=Verdict.PERMANENT, due_in=0, forgets=True))
    assert await claimed(ledger) == [first(again)]
    assert (await ledger.measure("urgent", plan["budget"], None)).shares == {"chats": 1.5}
