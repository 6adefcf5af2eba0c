"""What every ledger promises of what a person does to dispatches: retry, cancel, replay."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from relay.errors import Conflict
from relay.ledger.schema import attempts, work
from relay.model import EventStatus, Failure, ParkReason, Recorded, State, Verdict, tell
from tests.ledger.build import checking, created, make_chat, make_dispatch, make_entry, move, waiting

NO = Failure("refused", "no", 400)


async def claim_one(ledger, **rest):
    await ledger.accept([make_entry(**rest)])
    [claim] = await ledger.claim(10)
    return claim


async def fail(ledger, claim, to=State.FAILED):
    """The attempt's answer is a clear no."""
    told = tell.failed(claim.about, claim.dispatch, NO, attempts=claim.attempts, now=1)
    await ledger.record(move(claim, to, verdict=Verdict.PERMANENT, failure=NO, results=(told,)))


async def park(ledger, claim, why=ParkReason.UNKNOWN, verdict=Verdict.UNKNOWN):
    failure = Failure("unknown", "no answer")
    told = tell.parked(claim.about, claim.dispatch, why, failure, attempts=claim.attempts, now=1)
    await ledger.record(move(claim, State.PARKED, verdict=verdict, failure=failure, park=why, results=(told,)))


async def view_of(ledger, dispatch_id):
    [view] = [each for each in (await ledger.event(dispatch_id)).dispatches if each.id == dispatch_id]
    return view


async def state_of(ledger, dispatch_id):
    return (await view_of(ledger, dispatch_id)).state


async def told(ledger):
    """Ids of all results with their types and how they ended, in the order they were told."""
    return [
        (result.id.partition(".")[2], result.type, result.data.get("error", {}).get("code"))
        for _, result in await ledger.follow(0, 100)
    ]


async def rows_of(ledger, table):
    return await ledger.read(lambda conn, _: [dict(row) for row in conn.execute(select(table)).mappings()])


# retry


async def test_a_retry_starts_the_next_run_and_its_results_have_new_ids(ledger, clock):
    claim = await claim_one(ledger)
    await fail(ledger, claim)
    clock.now += 10
    started = await ledger.retry(claim.dispatch.id, None)
    assert (started.run, started.state, started.failure) == (2, State.READY, None)
    view = await view_of(ledger, claim.dispatch.id)
    assert (view.run, view.state, view.attempts, view.failure, view.park) == (2, State.READY, 0, None, None)
    [again] = await ledger.claim(10)
    assert (again.dispatch.run, again.attempt, again.attempts, again.waited) == (2, 1, 1, 0)
    assert again.fence > claim.fence
    assert again.dispatch.body == claim.dispatch.body, "the kept body is sent again"
    await ledger.record(created(again))
    assert await told(ledger) == [("1", "relay.chat.failed", "failed"), ("2", "relay.chat.created", None)]
    assert [(row["run"], row["number"]) for row in await rows_of(ledger, attempts)] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("state", ["failed", "expired", "superseded", "suppressed", "cancelled"])
async def test_each_end_without_a_chat_can_be_retried(ledger, state):
    entry = make_entry(dispatch={"state": State(state), "failure": Failure(state, "why")})
    await ledger.accept([entry])
    started = await ledger.retry(entry.dispatches[0].id, None)
    assert (started.run, started.state) == (2, State.READY)
    assert [claim.dispatch.id for claim in await ledger.claim(10)] == [started.id]


async def test_what_was_rendered_anew_is_what_is_sent(ledger):
    entry = make_entry(dispatch={"state": State.FAILED, "failure": Failure("render", "no x")})
    dispatch = replace(entry.dispatches[0], body=None)
    await ledger.accept([replace(entry, dispatches=(dispatch,))])
    fresh = replace(dispatch, body='{"trigger":{}}', message="Hello", name="N", agent_uuid="A", on_unknown="retry")
    await ledger.retry(dispatch.id, fresh)
    [claim] = await ledger.claim(10)
    assert claim.dispatch == replace(fresh, run=2, failure=None, state=State.READY)


async def test_a_parked_one_that_was_sent_is_looked_for_since_its_first_attempt(ledger, clock):
    claim = await claim_one(ledger)
    began = clock.now
    clock.now += 30_000
    await park(ledger, claim)
    clock.now += 86_400_000
    started = await ledger.retry(claim.dispatch.id, None)
    assert (started.run, started.state) == (2, State.CHECKING)
    assert await ledger.claim(10) == [], "it is never sent blindly"
    clock.now += 500
    [doubt] = await ledger.doubts(10)
    assert (doubt.claim.dispatch.run, doubt.first_attempt_at, doubt.ended_ago) == (2, began, 86_400_500)
    assert (doubt.claim.attempts, doubt.claim.waited) == (0, 500), "the wait is that of the run"
    assert (await ledger.record(move(doubt.claim, State.WAITING, due_in=0))).how is Recorded.APPLIED
    [again] = await ledger.claim(10)
    assert (again.dispatch.run, again.attempt, again.attempts, again.waited) == (2, 1, 1, 500)


@pytest.mark.parametrize(("code", "decided"), [("unstamped", True), ("unknown", False)])
async def test_who_was_shown_what_may_be_the_chat_and_retries_has_decided(ledger, clock, code, decided):
    claim = await claim_one(ledger)
    await ledger.record(move(claim, State.PARKED, failure=Failure(code, "why"), park=ParkReason.UNKNOWN))
    await ledger.retry(claim.dispatch.id, None)
    [doubt] = await ledger.doubts(10)
    assert (doubt.claim.doubt, doubt.at) == (decided, clock.now)
    await ledger.record(move(doubt.claim, State.WAITING, due_in=0))
    [again] = await ledger.claim(10)
    assert not again.doubt, "of what this call comes to nobody knows anything"


async def test_a_pause_does_not_count_as_waited_in_a_run_that_began_with_a_look(ledger, clock):
    claim = await claim_one(ledger)
    await park(ledger, claim)
    await ledger.pause("circuit")
    clock.now += 5_000
    await ledger.retry(claim.dispatch.id, None)
    clock.now += 5_000
    await ledger.resume("circuit")
    clock.now += 700
    [doubt] = await ledger.doubts(10)
    assert doubt.claim.waited == 700


async def test_an_attempt_whose_end_is_not_known_counts_as_ended_when_it_was_parked(ledger, clock):
    claim = await claim_one(ledger)
    clock.now += claim.lease + 1
    await ledger.sweep()
    clock.now += 1_000
    [doubt] = await ledger.doubts(10)
    await park(ledger, doubt.claim, verdict=None)
    clock.now += 2_000
    await ledger.retry(claim.dispatch.id, None)
    [doubt] = await ledger.doubts(10)
    assert doubt.ended_ago == 2_000, "not since it began: it may have ended as late as its lease"


async def test_a_parked_one_that_was_never_sent_is_ready(ledger):
    entry = make_entry(dispatch={"state": State.PARKED, "failure": Failure("loop", "its own tail")})
    await ledger.accept([entry])
    assert (await ledger.gauges()).parked == {"loop": 1}
    started = await ledger.retry(entry.dispatches[0].id, None)
    assert started.state is State.READY
    assert (await ledger.gauges()).parked == {}


@pytest.mark.parametrize("how", ["unknown outcome", "refused clearly"])
async def test_a_cancelled_one_is_looked_for_if_it_may_have_left_a_chat(ledger, how):
    claim = await claim_one(ledger)
    if how == "unknown outcome":
        await park(ledger, claim)
    else:
        await ledger.record(waiting(claim, 5_000))
    await ledger.cancel(claim.dispatch.id)
    started = await ledger.retry(claim.dispatch.id, None)
    assert started.state is (State.CHECKING if how == "unknown outcome" else State.READY)


async def test_a_failed_one_whose_chat_came_late_is_looked_for(ledger, clock):
    claim = await claim_one(ledger)
    clock.now += claim.lease + 1
    await ledger.sweep()
    clock.now += 1_000
    [doubt] = await ledger.doubts(10)
    await ledger.record(move(doubt.claim, State.WAITING, due_in=0))
    [again] = await ledger.claim(10)
    await fail(ledger, again)
    assert (await ledger.record(created(claim, make_chat("late")))).how is Recorded.DUPLICATED
    assert (await ledger.retry(claim.dispatch.id, None)).state is State.CHECKING
    assert (await ledger.extend(claim.about.event_id, make_entry(), again=False)) == [], "its rule has a chat"


async def busy(ledger, clock, state):
    """A dispatch in this state."""
    if state in {"ready", "held"}:
        entry = make_entry(dispatch={"state": State(state)})
        await ledger.accept([entry])
        return entry.dispatches[0].id
    claim = await claim_one(ledger, dispatch={"message": "Hello" if state == "messaging" else None})
    if state == "waiting":
        await ledger.record(waiting(claim, 5_000))
    elif state == "checking":
        await ledger.record(checking(claim))
    elif state in {"done", "messaging"}:
        await ledger.record(created(claim))
    assert await state_of(ledger, claim.dispatch.id) == state
    return claim.dispatch.id


@pytest.mark.parametrize("state", ["ready", "sending", "waiting", "checking", "messaging", "done"])
async def test_what_is_under_way_or_has_a_chat_is_not_retried(ledger, clock, state):
    dispatch_id = await busy(ledger, clock, state)
    before = await view_of(ledger, dispatch_id)
    with pytest.raises(Conflict, match=state):
        await ledger.retry(dispatch_id, None)
    assert await view_of(ledger, dispatch_id) == before


async def test_a_late_move_of_the_run_before_does_not_touch_the_new_one(ledger, clock):
    claim = await claim_one(ledger)
    clock.now += claim.lease + 1
    await ledger.sweep()
    clock.now += 1_000
    [doubt] = await ledger.doubts(10)
    await park(ledger, doubt.claim, verdict=None)
    await ledger.retry(claim.dispatch.id, None)
    assert (await ledger.record(waiting(claim, 0))).how is Recorded.LATE
    assert await state_of(ledger, claim.dispatch.id) is State.CHECKING


@pytest.mark.parametrize("present", ["checking", "waiting", "parked"])
async def test_a_chat_of_the_run_before_is_told_as_one_of_the_present_run(ledger, clock, present):
    """The run before was told already as an end without a chat: under its id nobody would hear of the chat."""
    claim = await claim_one(ledger)
    clock.now += claim.lease + 1
    await ledger.sweep()
    clock.now += 1_000
    [doubt] = await ledger.doubts(10)
    await park(ledger, doubt.claim, verdict=None)
    await ledger.cancel(claim.dispatch.id)
    await ledger.retry(claim.dispatch.id, None)
    [doubt] = await ledger.doubts(10)
    if present == "waiting":
        await ledger.record(move(doubt.claim, State.WAITING, due_in=0))
    elif present == "parked":
        await park(ledger, doubt.claim, verdict=None)
    assert (await ledger.record(created(claim))).how is Recorded.ADOPTED
    view = await view_of(ledger, claim.dispatch.id)
    assert (view.state, view.run, view.chat_uuid, view.duplicates) == (State.DONE, 2, "chat-1", ())
    expected = {("1.parked", "parked"), ("1", "failed"), ("2", "created")}
    assert {(name, kind.rpartition(".")[2]) for name, kind, _ in await told(ledger)} - {("2.parked", "parked")} == (
        expected
    )
    [result] = [result for _, result in await ledger.follow(0, 10) if result.id.endswith(".2")]
    assert (result.chat_uuid, result.data["run"], result.data["name"]) == ("chat-1", 2, "Ticket")


@pytest.mark.parametrize("found", ["in the list", "in the ledger"])
async def test_a_chat_that_was_shown_as_a_second_one_is_none_once_it_is_the_first(ledger, clock, found):
    """Else a person would be told to delete one of two, and there is but one."""
    claim = await claim_one(ledger)
    await park(ledger, claim)
    await ledger.cancel(claim.dispatch.id)
    assert (await ledger.record(created(claim))).how is Recorded.DUPLICATED
    assert (await view_of(ledger, claim.dispatch.id)).duplicates == ("chat-1",)
    await ledger.retry(claim.dispatch.id, None)
    [doubt] = await ledger.doubts(10)
    if found == "in the list":
        assert (await ledger.record(created(doubt.claim))).how is Recorded.APPLIED
    else:
        assert (await ledger.record(move(doubt.claim, State.WAITING, due_in=0))).how is Recorded.ADOPTED
    view = await view_of(ledger, claim.dispatch.id)
    assert (view.state, view.chat_uuid, view.duplicates) == (State.DONE, "chat-1", ())


@pytest.mark.parametrize("message", [None, "Hello"])
async def test_a_chat_of_the_run_before_gets_the_message_that_the_present_run_has(ledger, clock, message):
    claim = await claim_one(ledger, dispatch={"message": None if message else "Hello"})
    await park(ledger, claim)
    await ledger.retry(claim.dispatch.id, replace(claim.dispatch, message=message))
    assert (await ledger.record(created(claim))).how is Recorded.ADOPTED
    assert await state_of(ledger, claim.dispatch.id) is (State.MESSAGING if message else State.DONE)
    assert [claim.dispatch.message for claim in await ledger.claim(10)] == [each for each in [message] if each]


# cancel


@pytest.mark.parametrize("state", ["ready", "held", "waiting"])
async def test_a_cancel_ends_what_waits_at_once_and_tells_it(ledger, clock, state):
    dispatch_id = await busy(ledger, clock, state)
    cancelled = await ledger.cancel(dispatch_id)
    assert (cancelled.id, cancelled.state) == (dispatch_id, State.CANCELLED)
    view = await view_of(ledger, dispatch_id)
    assert (view.state, view.failure.code) == (State.CANCELLED, "cancelled")
    assert await told(ledger) == [("1", "relay.chat.failed", "cancelled")]
    assert await rows_of(ledger, work) == []
    clock.now += 10_000
    assert await ledger.claim(10) == []


async def test_a_parked_one_is_cancelled_and_told_though_it_was_told_as_parked(ledger, clock):
    claim = await claim_one(ledger)
    await park(ledger, claim)
    clock.now += 1
    assert (await ledger.cancel(claim.dispatch.id)).state is State.CANCELLED
    view = await view_of(ledger, claim.dispatch.id)
    assert (view.state, view.park, view.attempts) == (State.CANCELLED, None, 1)
    assert await told(ledger) == [
        ("1.parked", "relay.chat.parked", "unknown"),
        ("1", "relay.chat.failed", "cancelled"),
    ]
    assert (await ledger.gauges()).parked == {}


@pytest.mark.parametrize("state", ["sending", "checking"])
async def test_a_cancel_waits_while_the_outcome_is_open_and_holds_when_there_is_no_chat(ledger, clock, state):
    claim = await claim_one(ledger)
    if state == "checking":
        await ledger.record(checking(claim))
        [doubt] = await ledger.doubts(10)
        claim = doubt.claim
    asked = await ledger.cancel(claim.dispatch.id)
    assert asked.state == state
    view = await view_of(ledger, claim.dispatch.id)
    assert (view.state, view.cancelling) == (state, True)
    assert await told(ledger) == []
    await ledger.record(move(claim, State.WAITING, due_in=0))
    assert await state_of(ledger, claim.dispatch.id) is State.CANCELLED
    assert await told(ledger) == [("1", "relay.chat.failed", "cancelled")]


@pytest.mark.parametrize("state", ["sending", "checking"])
async def test_a_cancel_that_waited_gives_way_to_a_chat(ledger, clock, state):
    claim = await claim_one(ledger)
    if state == "checking":
        await ledger.record(checking(claim))
        [doubt] = await ledger.doubts(10)
        claim = doubt.claim
    await ledger.cancel(claim.dispatch.id)
    await ledger.cancel(claim.dispatch.id)
    await ledger.record(created(claim))
    view = await view_of(ledger, claim.dispatch.id)
    assert (view.state, view.cancelling) == (State.DONE, False)
    assert await told(ledger) == [("1", "relay.chat.created", None)]


@pytest.mark.parametrize(("state", "why"), [("done", "its chat exists"), ("messaging", "its chat exists")])
async def test_what_has_a_chat_is_not_cancelled(ledger, clock, state, why):
    dispatch_id = await busy(ledger, clock, state)
    with pytest.raises(Conflict, match=why):
        await ledger.cancel(dispatch_id)
    assert await state_of(ledger, dispatch_id) == state


async def test_what_has_ended_is_not_cancelled_again(ledger, clock):
    dispatch_id = await busy(ledger, clock, "ready")
    await ledger.cancel(dispatch_id)
    with pytest.raises(Conflict, match="cancelled"):
        await ledger.cancel(dispatch_id)
    assert len(await told(ledger)) == 1


# replay


def replayed(event, *rules, **rest):
    """What today's rules make of an event that is kept."""
    made = tuple(replace(make_dispatch(event, rule), **rest) for rule in rules)
    return replace(make_entry(rules=()), event=event, status=EventStatus.ACCEPTED, dispatches=made)


async def test_a_replay_adds_the_rules_that_made_no_chat_and_may_not_have(ledger):
    rules = ("done", "sending", "waiting", "parked", "failed", "cancelled", "lost")
    entry = make_entry(rules=rules)
    await ledger.accept([entry])
    claims = {claim.dispatch.rule: claim for claim in await ledger.claim(10)}
    await ledger.record(created(claims["done"]))
    await ledger.record(waiting(claims["waiting"], 5_000))
    await park(ledger, claims["parked"])
    await fail(ledger, claims["failed"])
    await ledger.record(waiting(claims["cancelled"], 5_000))
    await ledger.cancel(claims["cancelled"].dispatch.id)
    await park(ledger, claims["lost"])
    await ledger.cancel(claims["lost"].dispatch.id)
    again = replayed(entry.event, *rules, "new")
    added = await ledger.extend(entry.event.id, again, again=False)
    assert [dispatch.rule for dispatch in added] == ["failed", "cancelled", "new"]
    assert await ledger.extend(entry.event.id, replayed(entry.event, *rules, "new"), again=False) == []
    assert {claim.dispatch.id for claim in await ledger.claim(10)} == {dispatch.id for dispatch in added}


async def test_again_adds_them_all(ledger):
    claim = await claim_one(ledger)
    await ledger.record(created(claim))
    event = await ledger.load(claim.about.event_id)
    again = replayed(event, "urgent", "new")
    added = await ledger.extend(event.id, again, again=True)
    assert [dispatch.id for dispatch in added] == [dispatch.id for dispatch in again.dispatches]
    assert len((await ledger.event(event.id)).dispatches) == 3
    assert len(await ledger.claim(10)) == 2


async def test_an_unmatched_event_is_accepted_once_a_rule_wants_it(ledger):
    entry = make_entry(rules=())
    await ledger.accept([entry])
    assert await ledger.extend(entry.event.id, replayed(entry.event), again=False) == []
    assert (await ledger.event(entry.event.id)).status is EventStatus.UNMATCHED
    await ledger.extend(entry.event.id, replayed(entry.event, "new"), again=False)
    assert (await ledger.event(entry.event.id)).status is EventStatus.ACCEPTED


async def test_a_replay_that_cannot_be_rendered_has_ended_and_is_told(ledger):
    entry = make_entry(rules=())
    await ledger.accept([entry])
    failure = Failure("render", "data.x is missing")
    again = replayed(entry.event, "new", body=None, failure=failure, state=State.FAILED)
    result = tell.failed(entry.event.about(), again.dispatches[0], failure, attempts=0, now=1)
    await ledger.extend(entry.event.id, replace(again, results=(result,)), again=False)
    assert await ledger.claim(10) == []
    assert [due.result for due in await ledger.due(10)] == [result]


async def test_what_a_replay_skips_is_not_told_either(ledger):
    claim = await claim_one(ledger)
    await ledger.record(created(claim))
    event = await ledger.load(claim.about.event_id)
    again = replayed(event, "urgent", body=None, failure=NO, state=State.FAILED)
    result = tell.failed(event.about(), again.dispatches[0], NO, attempts=0, now=1)
    assert await ledger.extend(event.id, replace(again, results=(result,)), again=False) == []
    assert await told(ledger) == [("1", "relay.chat.created", None)]


async def test_a_replay_may_be_held(ledger):
    entry = make_entry(rules=())
    await ledger.accept([entry])
    await ledger.extend(entry.event.id, replayed(entry.event, "new", state=State.HELD), again=False)
    assert await ledger.claim(10) == []
    assert (await ledger.gauges()).unfinished == 1
