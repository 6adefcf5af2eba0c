"""What every ledger promises of work: claims, fences, leases, pauses, pace."""

import asyncio
from dataclasses import replace
from itertools import chain

import pytest
from sqlalchemy import select, update

from relay.errors import Refused
from relay.ledger import SqlLedger, Terms
from relay.ledger.schema import attempts, dispatches, work
from relay.model import Failure, ParkReason, Recorded, State, Verdict, tell
from tests.ledger.build import checking, created, make_chat, make_entry, move, waiting


async def claim_one(ledger, **rest):
    """Accept one event and claim its dispatch."""
    await ledger.accept([make_entry(**rest)])
    [claim] = await ledger.claim(10)
    return claim


async def rows_of(ledger, table, **where):
    conditions = [table.c[name] == value for name, value in where.items()]
    query = select(table).where(*conditions)
    return await ledger.read(lambda conn, _: [dict(row) for row in conn.execute(query).mappings()])


async def dispatch_of(ledger, claim):
    [row] = await rows_of(ledger, dispatches, id=claim.dispatch.id)
    return row


async def ask_to_cancel(ledger, claim):
    asked = update(work).where(work.c.dispatch_id == claim.dispatch.id).values(cancelling=True)
    await ledger.write(lambda conn, _: conn.execute(asked))


async def test_a_claim_has_the_dispatch_its_lease_and_what_its_results_say(ledger):
    entry = make_entry("a", dispatch={"message": "Hello", "agent_uuid": "agent-0"}, reply_to="answers")
    await ledger.accept([entry])
    [claim] = await ledger.claim(10)
    assert claim.dispatch == entry.dispatches[0]
    assert claim.about == entry.event.about()
    assert (claim.state, claim.lease, claim.attempt, claim.attempts, claim.waited) == (State.SENDING, 40_000, 1, 1, 0)
    assert await ledger.claim(10) == [], "it is taken"


async def test_an_attempt_is_committed_with_the_claim_and_gets_its_row_when_it_ends(ledger, clock):
    claim = await claim_one(ledger)
    [attempt] = (await ledger.event(claim.dispatch.id)).attempts
    assert (attempt.dispatch_id, attempt.kind, attempt.number) == (claim.dispatch.id, "chat", 1)
    assert (attempt.started_at, attempt.ended_at, attempt.verdict) == (clock.now, None, None)
    assert await rows_of(ledger, attempts) == []
    started_at = clock.now
    clock.now += 700
    await ledger.record(created(claim))
    [row] = await rows_of(ledger, attempts)
    assert (row["started_at"], row["ended_at"], row["verdict"]) == (started_at, clock.now, "created")


async def test_eight_claimers_take_each_row_once(ledger, other):
    entries = [[make_entry()] for _ in range(300)]
    await asyncio.gather(*(ledger.accept(one) for one in entries))

    async def drain(ledger):
        taken = []
        while claims := await ledger.claim(7):
            taken += [claim.dispatch.id for claim in claims]
        return taken

    shares = await asyncio.gather(*(drain(each) for each in [ledger, other] * 4))
    assert sorted(chain.from_iterable(shares)) == sorted(entry.dispatches[0].id for [entry] in entries)


async def test_a_chat_ends_the_dispatch_and_is_told_in_the_same_commit(ledger):
    claim = await claim_one(ledger)
    done = created(claim)
    assert (await ledger.record(done)).how is Recorded.APPLIED
    row = await dispatch_of(ledger, claim)
    assert (row["state"], row["chat_uuid"], row["chat_agent"], row["attempts"]) == ("done", "chat-1", "agent-1", 1)
    assert [due.result for due in await ledger.due(10)] == list(done.results)
    assert await rows_of(ledger, work) == []
    [attempt] = await rows_of(ledger, attempts)
    assert (attempt["verdict"], attempt["chat_uuid"]) == ("created", "chat-1")


async def test_a_chat_with_a_message_goes_on_to_messaging_with_attempts_of_its_own(ledger, clock):
    claim = await claim_one(ledger, dispatch={"message": "Hello"})
    clock.now += 500
    await ledger.record(created(claim))
    [message] = await ledger.claim(10)
    assert (message.state, message.chat_uuid, message.agent_uuid) == (State.MESSAGING, "chat-1", "agent-1")
    assert (message.attempt, message.attempts, message.waited, message.doubt) == (1, 1, 0, False)
    told = tell.sent(message.about, message.dispatch, "chat-1", attempts=1, now=1)
    done = move(message, State.DONE, verdict=Verdict.SENT, results=(told,))
    assert (await ledger.record(done)).how is Recorded.APPLIED
    row = await dispatch_of(ledger, claim)
    assert (row["state"], row["chat_uuid"]) == ("done", "chat-1")
    assert [row["kind"] for row in await rows_of(ledger, attempts)] == ["chat", "message"]
    assert sorted(due.result.type for due in await ledger.due(10)) == ["relay.chat.created", "relay.message.sent"]


async def test_a_waiting_dispatch_is_claimed_when_its_time_has_come(ledger, clock):
    claim = await claim_one(ledger)
    await ledger.record(waiting(claim, 1_000))
    assert await ledger.claim(10) == []
    assert await ledger.wake() == 1_000
    clock.now += 1_000
    assert await ledger.wake() == 0
    [again] = await ledger.claim(10)
    assert (again.attempt, again.attempts, again.waited) == (2, 2, 1_000)
    assert again.fence > claim.fence


async def test_an_uncounted_attempt_is_given_back_but_stays_in_the_timeline(ledger, clock):
    claim = await claim_one(ledger)
    clock.now += 5_000
    await ledger.record(waiting(claim, 0, verdict=Verdict.DENIED, uncounted=True))
    [again] = await ledger.claim(10)
    assert (again.attempts, again.attempt, again.waited) == (1, 2, 0)
    assert len((await ledger.event(again.dispatch.id)).attempts) == 2


async def test_a_move_that_no_state_allows_is_refused_and_spares_the_others(ledger):
    await ledger.accept([make_entry(), make_entry()])
    first, second = await ledger.claim(10)
    wrong = replace(created(first), was=State.FAILED)
    answers = await asyncio.gather(ledger.record(wrong), ledger.record(created(second)), return_exceptions=True)
    assert isinstance(answers[0], Refused)
    assert answers[1].how is Recorded.APPLIED


async def test_a_lease_that_ran_out_leaves_a_doubt(ledger, clock):
    claim = await claim_one(ledger)
    clock.now += 39_999
    assert await ledger.sweep() == 0
    clock.now += 2_001
    assert await ledger.sweep() == 1
    assert await ledger.claim(10) == [], "never a blind retry"
    assert await ledger.doubts(10) == [], "the first look is a second later"
    clock.now += 1_000
    [doubt] = await ledger.doubts(10)
    assert (doubt.claim.dispatch.id, doubt.claim.state) == (claim.dispatch.id, State.CHECKING)
    assert (doubt.first_attempt_at, doubt.ended_ago, doubt.looks) == (clock.now - 43_000, 3_000, 0)


async def test_looks_count_and_do_not_move_the_end_of_the_attempt(ledger, clock):
    claim = await claim_one(ledger)
    await ledger.record(checking(claim))
    clock.now += 1_000
    [doubt] = await ledger.doubts(10)
    assert (await ledger.record(move(doubt.claim, State.CHECKING, due_in=5_000))).how is Recorded.APPLIED
    assert await ledger.doubts(10) == []
    clock.now += 5_000
    [doubt] = await ledger.doubts(10)
    assert (doubt.looks, doubt.ended_ago) == (1, 6_000)
    assert (await ledger.record(move(doubt.claim, State.WAITING, due_in=0))).how is Recorded.APPLIED
    assert [again.attempt for again in await ledger.claim(10)] == [2]


async def test_a_doubt_of_a_later_run_is_looked_for_since_the_first_attempt_of_any(ledger, clock):
    claim = await claim_one(ledger)
    started = clock.now
    await ledger.record(move(claim, State.PARKED, verdict=Verdict.UNKNOWN, park=ParkReason.UNKNOWN))
    clock.now += 86_400_000
    await ledger.retry(claim.dispatch.id, None)
    [doubt] = await ledger.doubts(10)
    assert (doubt.claim.dispatch.run, doubt.first_attempt_at, doubt.claim.waited) == (2, started, 0)
    assert doubt.ended_ago == 86_400_000


async def test_a_lease_longer_than_any_may_be_counts_as_over(ledger, clock):
    await claim_one(ledger)
    clock.now -= 86_400_000
    assert await ledger.sweep() == 1


@pytest.mark.parametrize("swept_after", [1, 20_000, 90_000])
async def test_a_message_whose_lease_ran_out_is_claimed_in_doubt_once_it_has_settled(ledger, clock, swept_after):
    """It may arrive as late as `settle` after the lease's end: a look before that proves nothing."""
    claim = await claim_one(ledger, dispatch={"message": "Hello"})
    await ledger.record(created(claim))
    await ledger.claim(10)
    clock.now += 40_000 + swept_after
    assert await ledger.sweep() == 1
    left = max(0, ledger.terms.settle - swept_after)
    assert await ledger.wake() == left
    if left:
        clock.now += left - 1
        assert await ledger.claim(10) == []
        clock.now += 1
    [again] = await ledger.claim(10)
    assert (again.state, again.doubt, again.attempt) == (State.MESSAGING, True, 2)


async def test_a_message_whose_lease_cannot_be_right_settles_from_now_on(ledger, clock):
    claim = await claim_one(ledger, dispatch={"message": "Hello"})
    await ledger.record(created(claim))
    await ledger.claim(10)
    clock.now -= 86_400_000
    assert await ledger.sweep() == 1
    assert await ledger.wake() == ledger.terms.settle


async def lose(ledger, clock, claim):
    """The lease of a claim runs out and is swept."""
    clock.now += claim.lease + 1
    assert await ledger.sweep() == 1


async def test_after_the_lease_is_lost_only_the_attempt_is_kept(ledger, clock):
    claim = await claim_one(ledger)
    await lose(ledger, clock, claim)
    failed = move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=Failure("refused", "no", 400))
    assert (await ledger.record(failed)).how is Recorded.LATE
    [attempt] = await rows_of(ledger, attempts)
    assert (attempt["verdict"], attempt["failure_status"]) == ("permanent", 400)
    assert (await dispatch_of(ledger, claim))["state"] is None


@pytest.mark.parametrize("present", ["checking", "waiting", "parked"])
async def test_a_chat_that_comes_late_is_adopted_and_told(ledger, clock, present):
    claim = await claim_one(ledger)
    await lose(ledger, clock, claim)
    if present != "checking":
        clock.now += 1_000
        [doubt] = await ledger.doubts(10)
        after = {"waiting": {"due_in": 99_999}, "parked": {"park": ParkReason.UNKNOWN}}[present]
        await ledger.record(move(doubt.claim, State(present), **after))
    assert (await ledger.record(created(claim))).how is Recorded.ADOPTED
    row = await dispatch_of(ledger, claim)
    assert (row["state"], row["chat_uuid"], row["park"]) == ("done", "chat-1", None)
    assert await rows_of(ledger, work) == []
    assert [due.result.chat_uuid for due in await ledger.due(10)] == ["chat-1"]
    assert (await ledger.record(created(claim))).how is Recorded.LATE, "said twice is done once"


@pytest.mark.parametrize("present", ["checking", "parked"])
async def test_a_chat_that_comes_late_gets_its_message_too(ledger, clock, present):
    claim = await claim_one(ledger, dispatch={"message": "Hello"})
    await lose(ledger, clock, claim)
    if present == "parked":
        clock.now += 1_000
        [doubt] = await ledger.doubts(10)
        await ledger.record(move(doubt.claim, State.PARKED, park=ParkReason.UNKNOWN))
    assert (await ledger.record(created(claim))).how is Recorded.ADOPTED
    [message] = await ledger.claim(10)
    assert (message.state, message.chat_uuid, message.attempt) == (State.MESSAGING, "chat-1", 1)


async def retry_after_loss(ledger, clock, claim):
    """The first attempt's lease runs out, absence is proved, a second attempt is under way."""
    await lose(ledger, clock, claim)
    clock.now += 1_000
    [doubt] = await ledger.doubts(10)
    await ledger.record(move(doubt.claim, State.WAITING, due_in=0))
    [again] = await ledger.claim(10)
    return again


async def test_two_chats_of_one_dispatch_are_told_once_and_the_second_is_shown(ledger, clock):
    claim = await claim_one(ledger)
    again = await retry_after_loss(ledger, clock, claim)
    await ledger.record(created(again, make_chat("chat-2")))
    assert (await ledger.record(created(claim, make_chat("chat-1")))).how is Recorded.DUPLICATED
    row = await dispatch_of(ledger, claim)
    assert (row["chat_uuid"], row["duplicates"]) == ("chat-2", '["chat-1"]')
    assert (await ledger.record(created(claim, make_chat("chat-1")))).how is Recorded.LATE
    assert [due.result.chat_uuid for due in await ledger.due(10)] == ["chat-2"]


async def test_a_late_chat_waits_while_another_attempt_is_sending_and_is_its_duplicate(ledger, clock):
    claim = await claim_one(ledger)
    again = await retry_after_loss(ledger, clock, claim)
    assert (await ledger.record(created(claim, make_chat("chat-1")))).how is Recorded.LATE
    assert (await ledger.record(created(again, make_chat("chat-2")))).how is Recorded.DUPLICATED
    row = await dispatch_of(ledger, claim)
    assert (row["state"], row["chat_uuid"], row["duplicates"]) == ("done", "chat-2", '["chat-1"]')


@pytest.mark.parametrize("outcome", [waiting, checking])
async def test_a_late_chat_is_adopted_when_the_attempt_under_way_makes_none(ledger, clock, outcome):
    claim = await claim_one(ledger)
    again = await retry_after_loss(ledger, clock, claim)
    assert (await ledger.record(created(claim, make_chat("chat-1")))).how is Recorded.LATE
    assert (await ledger.record(outcome(again))).how is Recorded.ADOPTED
    row = await dispatch_of(ledger, claim)
    assert (row["state"], row["chat_uuid"], row["duplicates"]) == ("done", "chat-1", None)
    [due] = await ledger.due(10)
    assert (due.result.type, due.result.chat_uuid) == ("relay.chat.created", "chat-1")


async def test_a_chat_of_a_dispatch_that_has_ended_without_one_is_shown(ledger, clock):
    claim = await claim_one(ledger)
    again = await retry_after_loss(ledger, clock, claim)
    await ledger.record(move(again, State.FAILED, verdict=Verdict.PERMANENT, failure=Failure("refused", "no", 400)))
    assert (await ledger.record(created(claim))).how is Recorded.DUPLICATED
    row = await dispatch_of(ledger, claim)
    assert (row["state"], row["chat_uuid"], row["duplicates"]) == ("failed", None, '["chat-1"]')


async def test_moves_of_one_dispatch_in_one_commit_follow_each_other(ledger):
    claim = await claim_one(ledger)
    answers = await asyncio.gather(ledger.record(checking(claim)), ledger.record(created(claim)))
    assert [answer.how for answer in answers] == [Recorded.APPLIED, Recorded.ADOPTED]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (waiting, "cancelled"),
        (lambda claim: move(claim, State.PARKED, park=ParkReason.GAVE_UP), "cancelled"),
        (lambda claim: move(claim, State.PARKED, park=ParkReason.UNKNOWN), "parked"),
        (created, "done"),
        (checking, None),
    ],
)
async def test_a_cancel_waits_for_the_outcome_and_ends_only_what_has_no_chat(ledger, outcome, state):
    claim = await claim_one(ledger)
    await ask_to_cancel(ledger, claim)
    assert (await ledger.record(outcome(claim))).how is Recorded.APPLIED
    row = await dispatch_of(ledger, claim)
    assert row["state"] == state
    if state == "cancelled":
        [due] = await ledger.due(10)
        assert (due.result.type, due.result.data["error"]["code"]) == ("relay.chat.failed", "cancelled")
        assert row["failure_code"] == "cancelled"
        assert await rows_of(ledger, work) == []


async def test_nothing_is_claimed_during_a_pause_and_its_time_does_not_count(ledger, clock):
    claim = await claim_one(ledger)
    await ledger.record(waiting(claim))
    clock.now += 1_000
    started = clock.now
    assert await ledger.pause("denied")
    assert not await ledger.pause("denied")
    clock.now += 10_000
    assert await ledger.pause("circuit")
    assert await ledger.pauses() == {"denied": started, "circuit": started + 10_000}
    assert await ledger.resume("denied")
    clock.now += 20_000
    assert await ledger.claim(10) == []
    assert await ledger.wake() is None
    assert await ledger.resume("circuit")
    assert not await ledger.resume("circuit")
    clock.now += 500
    [again] = await ledger.claim(10)
    assert again.waited == 1_500


async def test_pauses_before_the_first_attempt_do_not_count_either_way(ledger, clock):
    await ledger.pause("denied")
    clock.now += 50_000
    await ledger.resume("denied")
    claim = await claim_one(ledger)
    await ledger.record(waiting(claim))
    clock.now += 700
    [again] = await ledger.claim(10)
    assert again.waited == 700


async def test_a_rate_spaces_starts_over_all_replicas_and_unused_starts_lapse(store, clock):
    one, two = (SqlLedger(store, Terms(owner=name, spacing=400.0)) for name in ("one", "two"))
    await one.accept([make_entry() for _ in range(8)])
    clock.now += 10_000
    first, second = await one.claim(2), await two.claim(8)
    assert [claim.start_in for claim in first + second] == [0, 400, 800]
    assert await one.claim(8) == [], "only what may start within a second"
    assert await one.wake() == 200
    clock.now += 200
    assert [claim.start_in for claim in await two.claim(8)] == [1_000]
    assert await one.pace(1) == 1_400
    clock.now += 60_000
    assert [claim.start_in for claim in await one.claim(8)] == [0, 400, 800]


async def test_a_named_lease_has_one_holder_and_runs_out(ledger, other, clock):
    assert await ledger.lease("scanner", 10_000)
    assert await ledger.lease("scanner", 10_000), "renewed"
    assert not await other.lease("scanner", 10_000)
    await other.release("scanner")
    assert not await other.lease("scanner", 10_000), "only the holder gives it back"
    clock.now += 10_000
    assert await other.lease("scanner", 10_000)
    await other.release("scanner")
    assert await ledger.lease("scanner", 10_000)


async def test_what_is_given_back_is_claimable_as_if_it_never_was_claimed(ledger, other, clock):
    await ledger.accept([make_entry() for _ in range(3)])
    kept, first, second = await ledger.claim(3)
    await ledger.accept([make_entry()])
    [theirs] = await other.claim(1)
    assert await ledger.give_back({(kept.dispatch.id, kept.fence)}) == 2
    assert await ledger.give_back({(kept.dispatch.id, kept.fence)}) == 0, "once"
    again = await other.claim(10)
    assert {claim.dispatch.id for claim in again} == {first.dispatch.id, second.dispatch.id}
    assert {(claim.attempts, claim.attempt, claim.state) for claim in again} == {(1, 2, State.SENDING)}
    assert (await ledger.record(created(kept))).how is Recorded.APPLIED
    assert (await other.record(created(theirs, make_chat("chat-2")))).how is Recorded.APPLIED
    rows = await rows_of(ledger, attempts, dispatch_id=first.dispatch.id, number=1)
    assert [(row["verdict"], row["ended_at"]) for row in rows] == [("retryable", clock.now)]


async def test_a_message_that_is_given_back_keeps_its_doubt(ledger, clock):
    claim = await claim_one(ledger, dispatch={"message": "Hello"})
    await ledger.record(created(claim))
    [saying] = await ledger.claim(1)
    await ledger.record(move(saying, State.MESSAGING, verdict=Verdict.UNKNOWN, due_in=5, doubt=True))
    clock.now += 10
    [again] = await ledger.claim(1)
    assert await ledger.give_back(()) == 1
    [third] = await ledger.claim(1)
    assert (third.state, third.doubt, third.attempt) == (State.MESSAGING, True, again.attempt + 1)


async def test_giving_up_counts_from_the_first_call_not_from_a_claim_that_was_given_back(ledger, clock):
    await ledger.accept([make_entry()])
    await ledger.claim(1)
    assert await ledger.give_back(()) == 1
    clock.now += 60_000
    [claim] = await ledger.claim(1)
    assert claim.waited == 0
    await ledger.record(waiting(claim))
    clock.now += 1_000
    await ledger.claim(1)
    assert await ledger.give_back(()) == 1
    [claim] = await ledger.claim(1)
    assert (claim.waited, claim.attempts) == (1_000, 2)
