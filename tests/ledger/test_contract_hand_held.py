"""What every ledger promises of a held dispatch that a person retries: its turn in a thread or an order."""

from dataclasses import replace

from relay.model import Chat, HeldBy, State, Verdict
from tests.ledger.build import created, make_entry, move

MINUTE = 60_000
DELAYED = {"delay": {"for": MINUTE}}


def ticket(key="t-1", **plan):
    thread = {"key": key, "idle": 100 * MINUTE}
    return make_entry(dispatch={"plan": {"thread": thread, **plan}, "message": "first", "follow": "later"})


def ordered(**plan):
    return make_entry(dispatch={"plan": {"order": {"key": "k"}, **plan}})


def first(entry):
    return entry.dispatches[0].id


async def held_by(ledger, entry):
    [view] = (await ledger.event(entry.event.id)).dispatches
    return view.held and view.held.by


async def say(ledger, claim):
    await ledger.record(move(claim, State.DONE, verdict=Verdict.SENT, message_uuid=f"m-{claim.dispatch.id}"))


async def begin(ledger, **plan):
    """The first dispatch of the thread makes its chat."""
    await ledger.accept([ticket(**plan)])
    [claim] = await ledger.claim(10)
    await ledger.record(created(claim, Chat("chat-1", created_at=0, agent_uuid="agent-1")))
    [message] = await ledger.claim(10)
    await say(ledger, message)


async def retry(ledger, entry, plan=None):
    """Retry it, and see how it stands then. `plan` is what its rule has rendered anew, None for nothing."""
    fresh = None if plan is None else replace(ticket(**plan).dispatches[0], id=first(entry))
    await ledger.retry(first(entry), fresh)
    [view] = (await ledger.event(entry.event.id)).dispatches
    return view


async def test_a_follow_up_goes_now_and_in_the_chat_of_its_thread(ledger, clock):
    await begin(ledger)
    held, behind = ticket(**DELAYED), ticket()
    await ledger.accept([held, behind])
    again = await retry(ledger, held)
    assert (again.state, again.run, again.chat_uuid) == (State.MESSAGING, 2, "chat-1")
    [claim] = await ledger.claim(10)
    assert (claim.dispatch.id, claim.follows, claim.chat_uuid) == (first(held), True, "chat-1")
    assert (claim.dispatch.message, claim.agent_uuid) == ("later", "agent-1")
    assert await held_by(ledger, behind) is HeldBy.THREAD
    await say(ledger, claim)
    [following] = await ledger.claim(10)
    assert (following.dispatch.id, following.chat_uuid) == (first(behind), "chat-1")


async def test_a_follow_up_that_its_limit_holds_for_a_retry_too_keeps_its_chat(ledger, clock):
    limit = {"limit": [{"key": None, "rate": [1, MINUTE], "then": "hold"}]}
    await begin(ledger, **limit)
    await ledger.accept([held := ticket(**limit)])
    for _ in range(2):
        assert await ledger.claim(10) == []
        assert await held_by(ledger, held) is HeldBy.LIMIT
        assert (await retry(ledger, held)).chat_uuid == "chat-1"
    clock.now += MINUTE
    [claim] = await ledger.claim(10)
    assert (claim.dispatch.id, claim.follows, claim.chat_uuid) == (first(held), True, "chat-1")


async def test_the_first_of_a_thread_keeps_its_turn(ledger):
    held, behind = ticket(**DELAYED), ticket()
    await ledger.accept([held, behind])
    assert (await retry(ledger, held)).state is State.READY
    [claim] = await ledger.claim(10)
    assert (claim.dispatch.id, claim.state) == (first(held), State.SENDING)
    assert await held_by(ledger, behind) is HeldBy.THREAD


async def test_one_of_an_order_keeps_its_turn(ledger):
    held, behind = ordered(**DELAYED), ordered()
    await ledger.accept([held, behind])
    assert (await ledger.retry(first(held), None)).state is State.READY
    [claim] = await ledger.claim(10)
    assert claim.dispatch.id == first(held)
    assert await held_by(ledger, behind) is HeldBy.ORDER
    await ledger.record(created(claim))
    assert [each.dispatch.id for each in await ledger.claim(10)] == [first(behind)]


async def test_one_that_has_not_the_turn_goes_past_the_others(ledger):
    await begin(ledger)
    turn, waits = ticket(**DELAYED), ticket()
    await ledger.accept([turn, waits])
    again = await retry(ledger, waits)
    assert (again.state, again.chat_uuid) == (State.READY, None)
    assert [each.dispatch.id for each in await ledger.claim(10)] == [first(waits)]
    assert await held_by(ledger, turn) is HeldBy.DELAY


async def test_one_whose_key_is_another_now_goes_on_in_the_chat_of_that(ledger, clock):
    await begin(ledger)
    held, behind = ticket("t-2", **DELAYED), ticket("t-2")
    await ledger.accept([held, behind])
    again = await retry(ledger, held, {"key": "t-1"})
    assert (again.state, again.chat_uuid) == (State.MESSAGING, "chat-1")
    claims = {each.dispatch.id: each.state for each in await ledger.claim(10)}
    assert claims == {first(held): State.MESSAGING, first(behind): State.SENDING}


async def test_one_that_a_window_held_goes_on_in_the_chat_of_its_thread(ledger):
    await begin(ledger)
    debounce = {"key": "t-1", "wait": MINUTE, "max": 10 * MINUTE, "keep": "last", "size": 1}
    await ledger.accept([held := ticket(debounce=debounce)])
    assert await held_by(ledger, held) is HeldBy.DEBOUNCE
    again = await retry(ledger, held)
    assert (again.state, again.chat_uuid) == (State.MESSAGING, "chat-1")
