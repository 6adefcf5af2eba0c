"""What every ledger promises of threads: one chat per key, in which later dispatches go on."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.model import Chat, Failure, HeldBy, ParkReason, State, Verdict
from tests.ledger.build import created, make_entry, move

IDLE = 1_000_000
CHAT, OTHER = (Chat(uuid, created_at=0, agent_uuid="agent-1") for uuid in ("chat-1", "chat-2"))


def ticket(key="t-1", *, message="first", follow="later", **plan):
    thread = {"key": key, "idle": IDLE}
    return make_entry(dispatch={"plan": {"thread": thread, **plan}, "message": message, "follow": follow})


def ids(*entries):
    return [entry.dispatches[0].id for entry in entries]


async def view_of(ledger, entry):
    [view] = (await ledger.event(entry.event.id)).dispatches
    return view


async def take(ledger):
    [claim] = await ledger.claim(10)
    return claim


def said(claim, uuid="m-1"):
    return move(claim, State.DONE, verdict=Verdict.SENT, message_uuid=uuid)


async def begin(ledger, chat=CHAT, **ticket_of):
    """The first dispatch of a thread makes the chat and says its message."""
    entry = ticket(**ticket_of)
    await ledger.accept([entry])
    claim = await take(ledger)
    assert (claim.state, claim.follows, claim.dispatch.id) == (State.SENDING, False, ids(entry)[0])
    await ledger.record(created(claim, chat))
    message = await take(ledger)
    assert (message.state, message.follows, message.dispatch.message) == (State.MESSAGING, False, "first")
    await ledger.record(said(message))
    return entry


async def test_later_dispatches_go_on_in_the_chat(ledger, other):
    await begin(ledger)
    entry = ticket()
    await other.accept([entry])
    claim = await take(other)
    assert (claim.state, claim.follows) == (State.MESSAGING, True)
    assert (claim.chat_uuid, claim.agent_uuid, claim.dispatch.message) == ("chat-1", "agent-1", "later")
    await other.record(said(claim, "m-2"))
    view = await view_of(ledger, entry)
    assert (view.state, view.chat_uuid, view.message, view.follow) == (State.DONE, "chat-1", "first", "later")


async def test_without_follow_the_message_is_said(ledger):
    await begin(ledger, follow=None)
    await ledger.accept([ticket(follow=None)])
    assert (await take(ledger)).dispatch.message == "first"


@pytest.mark.parametrize("texts", [{"follow": ""}, {"follow": None, "message": None}], ids=["follow", "message"])
async def test_a_blank_follow_up_says_nothing(ledger, texts):
    await begin(ledger)
    blank, behind = ticket(**texts), ticket()
    [standing] = await ledger.foresee(blank)
    assert (standing.dispatch.state, standing.dispatch.failure.code) == (State.SUPPRESSED, "suppressed")
    await ledger.accept([blank, behind])
    assert await ledger.claim(10) == []
    [withheld] = await ledger.withheld()
    assert (withheld.dispatch.id, withheld.to) == (ids(blank)[0], State.SUPPRESSED)
    view = await view_of(ledger, blank)
    assert (view.state, view.follow, view.attempts) == (State.SUPPRESSED, texts["follow"], 0)
    assert "`follow` is blank" in view.failure.message
    claim = await take(ledger)
    assert (claim.dispatch.id, claim.chat_uuid) == (ids(behind)[0], "chat-1")


async def test_a_blank_follow_is_not_asked_where_the_dispatch_makes_the_chat(ledger):
    await begin(ledger, follow="")


async def test_they_wait_for_one_another(ledger):
    entries = [ticket(), ticket(), ticket()]
    await ledger.accept(entries)
    claim = await take(ledger)
    view = await view_of(ledger, entries[1])
    assert (view.held.by, view.held.key, view.held.cause) == (HeldBy.THREAD, "t-1", ids(entries[0])[0])
    await ledger.record(created(claim, CHAT))
    message = await take(ledger)
    assert message.dispatch.id == ids(entries[0])[0]
    await ledger.record(said(message))
    second = await take(ledger)
    assert (second.dispatch.id, second.follows, second.chat_uuid) == (ids(entries[1])[0], True, "chat-1")
    await ledger.record(said(second, "m-2"))
    assert (await take(ledger)).dispatch.id == ids(entries[2])[0]


async def test_after_a_long_silence_the_next_one_makes_a_new_chat(ledger, clock):
    await begin(ledger)
    clock.now += IDLE
    await ledger.accept([ticket()])
    claim = await take(ledger)
    assert claim.follows, "that long, and not longer"
    await ledger.record(said(claim, "m-2"))
    clock.now += IDLE + 1
    await begin(ledger, OTHER)


async def test_a_chat_that_is_gone_is_made_anew_by_the_one_that_finds_out(ledger):
    await begin(ledger)
    entry, behind = ticket(), ticket()
    await ledger.accept([entry, behind])
    claim = await take(ledger)
    gone = Failure("chatNotFound", "gone", 404)
    await ledger.record(move(claim, State.READY, verdict=Verdict.PERMANENT, failure=gone, due_in=0, forgets=True))
    assert (await view_of(ledger, entry)).chat_uuid is None
    again = await take(ledger)
    assert (again.state, again.follows, again.attempt, again.chat_uuid) == (State.SENDING, False, 1, None)
    assert (again.dispatch.id, again.dispatch.message) == (ids(entry)[0], "first")
    await ledger.record(created(again, OTHER))
    await ledger.record(said(await take(ledger), "m-3"))
    assert (await take(ledger)).chat_uuid == "chat-2"


async def test_a_first_dispatch_that_ends_without_a_chat_leaves_that_to_the_next(ledger):
    entries = [ticket(), ticket()]
    await ledger.accept(entries)
    claim = await take(ledger)
    await ledger.record(move(claim, State.FAILED, failure=Failure("refused", "no")))
    claim = await take(ledger)
    assert (claim.dispatch.id, claim.state) == (ids(entries[1])[0], State.SENDING)


async def test_a_follow_up_that_fails_leaves_the_chat_to_the_next(ledger):
    await begin(ledger)
    first, second = ticket(), ticket()
    await ledger.accept([first, second])
    claim = await take(ledger)
    await ledger.record(move(claim, State.FAILED, failure=Failure("refused", "no")))
    following = await take(ledger)
    assert (following.dispatch.id, following.chat_uuid) == (ids(second)[0], "chat-1")
    await ledger.record(said(following, "m-2"))
    retried = await ledger.retry(ids(first)[0], None)
    assert retried.state is State.MESSAGING
    again = await take(ledger)
    assert (again.chat_uuid, again.follows, again.dispatch.run) == ("chat-1", True, 2)


async def test_a_parked_one_holds_the_thread_until_a_person_decides(ledger):
    first, second = ticket(), ticket()
    await ledger.accept([first, second])
    claim = await take(ledger)
    unknown = Failure("unknown", "no answer")
    await ledger.record(move(claim, State.PARKED, park=ParkReason.UNKNOWN, failure=unknown))
    assert (await view_of(ledger, second)).held.cause == ids(first)[0]
    await ledger.record(created(claim, CHAT))  # its answer comes late
    message = await take(ledger)
    assert (message.state, message.dispatch.id) == (State.MESSAGING, ids(first)[0])
    await ledger.record(said(message))
    assert (await take(ledger)).chat_uuid == "chat-1"


async def test_a_doubtful_follow_up_knows_the_messages_of_others(ledger, clock):
    await begin(ledger)
    await ledger.accept([ticket()])
    claim = await take(ledger)
    assert claim.taken == ()
    began = clock.now
    await ledger.record(move(claim, State.MESSAGING, verdict=Verdict.UNKNOWN, due_in=1_000, doubt=True))
    clock.now += 1_000
    again = await take(ledger)
    assert (again.doubt, again.taken, again.began_at) == (True, ("m-1",), began)


async def test_a_lease_that_ends_leaves_a_doubt(ledger, clock):
    await begin(ledger)
    await ledger.accept([ticket()])
    claim = await take(ledger)
    clock.now += claim.lease + 1
    assert await ledger.sweep() == 1
    clock.now += ledger.terms.settle
    again = await take(ledger)
    assert (again.doubt, again.follows, again.chat_uuid) == (True, True, "chat-1")


async def test_a_follow_up_can_be_cancelled_until_it_is_said(ledger):
    await begin(ledger)
    entry = ticket()
    await ledger.accept([entry])
    await ledger.cancel(ids(entry)[0])
    assert (await view_of(ledger, entry)).state is State.CANCELLED
    assert await ledger.claim(10) == []
    await ledger.accept([ticket()])
    assert (await take(ledger)).follows


@pytest.mark.parametrize("by", ["a claim", "the reconciler"])
async def test_a_follow_up_expires_while_it_waits(ledger, clock, by):
    await begin(ledger)
    entry = ticket(expires=1_000)
    await ledger.accept([entry])
    clock.now += 1_000
    if by == "a claim":
        assert await ledger.claim(10) == []
        expired = [each.dispatch for each in await ledger.withheld()]
    else:
        expired = await ledger.expire()
    assert [dispatch.id for dispatch in expired] == ids(entry)
    await ledger.accept([ticket()])
    assert (await take(ledger)).follows


async def test_a_delayed_follow_up_is_held(ledger, clock):
    await begin(ledger)
    entry = ticket(delay={"for": 1_000})
    await ledger.accept([entry])
    assert (await view_of(ledger, entry)).held.by is HeldBy.DELAY
    assert await ledger.claim(10) == []
    clock.now += 1_000
    claim = await take(ledger)
    assert (claim.state, claim.follows) == (State.MESSAGING, True)


async def test_a_message_is_sent_however_long_after_the_time_of_expires(ledger, clock):
    """The chat exists: a customer waits for what is said in it."""
    entry = make_entry(dispatch={"message": "Hello", "plan": {"expires": 1_000}})
    await ledger.accept([entry])
    claim = await take(ledger)
    clock.now += 999
    await ledger.record(created(claim, CHAT))
    clock.now += 10_000
    assert await ledger.expire() == []
    assert (await take(ledger)).state is State.MESSAGING


async def test_threads_do_not_meet(ledger):
    await begin(ledger)
    await begin(ledger, OTHER, key="t-2")
    await ledger.accept([ticket(), ticket("t-2")])
    assert {claim.chat_uuid for claim in await ledger.claim(10)} == {"chat-1", "chat-2"}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["arrive", "done", "fail", "gone", "wait"]), min_size=3, max_size=25))
async def test_a_thread_has_one_chat_at_a_time(ledger, clock, steps):  # noqa: C901 - the model beside the steps
    """RULES in plain words: whoever has the turn goes on in the chat, unless there is none that was used lately."""
    clock.now += 10 * IDLE
    key, chat, said_at, made = f"t-{clock.now}", None, 0, 0
    arrived, claim = [], None
    for step in [*steps, *["done"] * 2 * len(steps)]:
        if step == "arrive":
            entry = ticket(key)
            await ledger.accept([entry])
            arrived += ids(entry)
        elif step == "wait":
            clock.now += IDLE // 2 + 1
        elif claim is not None and step == "fail" and claim.state is State.SENDING:
            await ledger.record(move(claim, State.FAILED, failure=Failure("refused", "no")))
            claim = None
        elif claim is not None and step == "gone" and claim.follows:
            failure = Failure("chatNotFound", "gone")
            await ledger.record(move(claim, State.READY, failure=failure, due_in=0, forgets=True))
            arrived.insert(0, claim.dispatch.id)
            claim, chat = None, None
        elif claim is not None and claim.state is State.SENDING:
            made += 1
            chat = f"{key}-{made}"
            await ledger.record(created(claim, replace(CHAT, uuid=chat)))
            arrived.insert(0, claim.dispatch.id)
            claim = None
        elif claim is not None:
            await ledger.record(said(claim, f"m-{clock.now}-{made}"))
            claim, said_at = None, clock.now
        if claim is None and (claims := await ledger.claim(10)):
            [claim] = claims
            assert claim.dispatch.id == arrived.pop(0)
            if claim.follows:
                assert claim.chat_uuid == chat
            elif claim.state is State.SENDING and chat is not None:
                assert clock.now - said_at > IDLE
                chat = None
    assert not arrived


async def test_a_pause_of_the_rule_holds_what_goes_on_and_a_resume_lets_it_go_on_in_the_chat(ledger):
    await begin(ledger)
    waited = ticket()
    await ledger.accept([waited])
    await ledger.pause_rule("urgent", paused=True)
    await ledger.paused_rules()
    behind = ticket()
    await ledger.accept([behind])
    assert await ledger.claim(10) == []
    assert (await view_of(ledger, waited)).held.by is HeldBy.PAUSE
    assert (await view_of(ledger, behind)).held.by is HeldBy.THREAD
    await ledger.pause_rule("urgent", paused=False)
    assert [await ledger.let_go(), await ledger.let_go()] == [1, 0]
    claim = await take(ledger)
    assert (claim.dispatch.id, claim.state, claim.chat_uuid) == (ids(waited)[0], State.MESSAGING, "chat-1")
    await ledger.record(said(claim, "m-2"))
    assert (await take(ledger)).dispatch.id == ids(behind)[0]
