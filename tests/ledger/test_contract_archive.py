"""The contract of the archive on both databases: what people ask of the ledger and do by hand."""

from dataclasses import replace

import pytest

from relay.errors import Conflict, NotFound
from relay.ledger import SqlLedger, Terms
from relay.model import (
    Entry,
    EventQuery,
    EventStatus,
    Failure,
    ParkReason,
    Rejection,
    Settled,
    State,
    Verdict,
    new_id,
    tell,
)
from tests.ledger.build import checking, created, make_entry, make_event, move, waiting

DAY = 86_400_000


async def accept(ledger, *entries):
    """Each as a delivery of its own; gives the entries."""
    for entry in entries:
        await ledger.accept([entry])
    return entries


async def claim_one(ledger):
    (claim,) = await ledger.claim(1)
    return claim


def parked(claim, reason=ParkReason.UNKNOWN):
    failure = Failure("unknown", "who knows")
    told = tell.parked(claim.about, claim.dispatch, reason, failure, attempts=1, now=1)
    return replace(move(claim, State.PARKED, verdict=Verdict.UNKNOWN), failure=failure, park=reason, results=(told,))


def failed(claim):
    failure = Failure("refused", "no", 422)
    told = tell.failed(claim.about, claim.dispatch, failure, attempts=1, now=1)
    return replace(move(claim, State.FAILED, verdict=Verdict.PERMANENT), failure=failure, results=(told,))


async def state_of(ledger, dispatch_id):
    _, dispatch = await ledger.dispatch(dispatch_id)
    return dispatch.state


async def test_pages_give_every_event_once_newest_first_also_while_new_ones_come(ledger):
    entries = await accept(ledger, *(make_entry() for _ in range(7)))
    first = await ledger.events(EventQuery(limit=3))
    await accept(ledger, make_entry())
    second = await ledger.events(EventQuery(limit=3, cursor=first.cursor))
    third = await ledger.events(EventQuery(limit=3, cursor=second.cursor))
    listed = [event.id for page in (first, second, third) for event in page.events]
    assert listed == [entry.event.id for entry in reversed(entries)]
    assert third.cursor is None


async def test_filters_choose_by_source_status_state_time_and_text(ledger):
    ours, other, none = await accept(
        ledger,
        make_entry(body={"note": "needle in the body"}),
        make_entry(source="crm"),
        make_entry(rules=()),
    )

    async def ids(**query):
        return {event.id for event in (await ledger.events(EventQuery(**query))).events}

    assert await ids(source="crm") == {other.event.id}
    assert await ids(status=EventStatus.UNMATCHED) == {none.event.id}
    assert await ids(state=State.READY) == {ours.event.id, other.event.id}
    assert await ids(text="needle") == {ours.event.id}
    assert await ids(text=other.dispatches[0].id) == {other.event.id}
    assert await ids(text=ours.event.external_id) == {ours.event.id}
    assert await ids(since=ours.event.received_at + 1) == set()
    assert await ids(until=ours.event.received_at) == set()
    assert await ids(type="nothing") == set()


async def test_text_is_looked_for_in_bodies_that_are_no_text(ledger):
    event = replace(make_event(), raw=b"\xff\x00needle\xfe", data=None, unreadable="not JSON")
    await accept(ledger, Entry(event, EventStatus.UNREADABLE))
    found = await ledger.events(EventQuery(text="needle"))
    assert [each.id for each in found.events] == [event.id]
    assert (await ledger.load(event.id)).raw == event.raw


async def test_an_event_is_found_by_its_id_and_by_that_of_its_dispatch_with_all_its_history(ledger):
    (entry,) = await accept(ledger, make_entry())
    claim = await claim_one(ledger)
    await ledger.record(waiting(claim, failure=Failure("retryable", "slow", 429)))
    await ledger.record(created(await claim_one(ledger)))
    by_event = await ledger.event(entry.event.id)
    assert await ledger.event(entry.dispatches[0].id) == by_event
    (dispatch,) = by_event.dispatches
    assert (dispatch.state, dispatch.chat_uuid, dispatch.attempts) == (State.DONE, "chat-1", 2)
    assert [attempt.verdict for attempt in by_event.attempts] == ["retryable", "created"]
    (result,) = by_event.results
    assert (result.result.chat_uuid, dict(result.pending)) == ("chat-1", {"": None})


async def test_what_is_not_there_is_not_found(ledger):
    missing = new_id()
    for call in (
        ledger.event(missing),
        ledger.load(missing),
        ledger.dispatch(missing),
        ledger.retry(missing, None),
        ledger.cancel(missing),
        ledger.extend(missing, make_entry(), again=False),
    ):
        with pytest.raises(NotFound, match=missing):
            await call


async def test_a_failed_dispatch_is_retried_as_its_next_run_and_told_anew(ledger):
    (entry,) = await accept(ledger, make_entry())
    first = await claim_one(ledger)
    await ledger.record(failed(first))
    started = await ledger.retry(entry.dispatches[0].id, None)
    assert (started.state, started.run, started.body) == (State.READY, 2, entry.dispatches[0].body)
    again = await claim_one(ledger)
    assert again.fence > first.fence
    await ledger.record(created(again))
    told = {result.result.id for result in (await ledger.event(entry.event.id)).results}
    assert told == {f"{started.id}.1", f"{started.id}.2"}


async def test_a_retry_takes_a_new_rendering(ledger):
    entry = make_entry()
    broken = replace(entry.dispatches[0], body=None, state=State.FAILED, failure=Failure("render", "missing"))
    told = tell.failed(entry.event.about(), broken, broken.failure, attempts=0, now=1)
    await accept(ledger, replace(entry, dispatches=(broken,), results=(told,)))
    assert await ledger.claim(1) == []
    await ledger.retry(broken.id, replace(broken, body="{}", message="hello", failure=None))
    claim = await claim_one(ledger)
    assert (claim.dispatch.body, claim.dispatch.message, claim.dispatch.run) == ("{}", "hello", 2)


async def test_a_parked_dispatch_that_was_sent_is_looked_for_since_its_first_attempt(ledger, clock):
    (entry,) = await accept(ledger, make_entry())
    claim, began = await claim_one(ledger), clock.now
    await ledger.record(checking(claim))
    (doubt,) = await ledger.doubts(10)
    await ledger.record(parked(doubt.claim))
    clock.now += DAY
    started = await ledger.retry(entry.dispatches[0].id, None)
    assert (started.state, started.run) == (State.CHECKING, 2)
    (doubt,) = await ledger.doubts(10)
    assert (doubt.first_attempt_at, doubt.claim.dispatch.run, doubt.claim.waited) == (began, 2, 0)
    assert doubt.ended_ago == DAY


async def test_what_is_under_way_or_has_a_chat_is_not_retried(ledger):
    (entry,) = await accept(ledger, make_entry())
    dispatch_id = entry.dispatches[0].id
    with pytest.raises(Conflict, match="ready"):
        await ledger.retry(dispatch_id, None)
    await ledger.record(created(await claim_one(ledger)))
    with pytest.raises(Conflict, match="done"):
        await ledger.retry(dispatch_id, None)
    with pytest.raises(Conflict, match="its chat exists"):
        await ledger.cancel(dispatch_id)


async def test_a_cancel_ends_what_waits_at_once_and_tells_it(ledger):
    (entry,) = await accept(ledger, make_entry())
    await ledger.record(waiting(await claim_one(ledger), due_in=5_000))
    assert (await ledger.cancel(entry.dispatches[0].id)).state is State.CANCELLED
    detail = await ledger.event(entry.event.id)
    assert detail.dispatches[0].state is State.CANCELLED
    assert [result.result.data["error"]["code"] for result in detail.results] == ["cancelled"]
    with pytest.raises(Conflict, match="it has ended as cancelled"):
        await ledger.cancel(entry.dispatches[0].id)


async def test_a_parked_dispatch_is_cancelled_and_told(ledger):
    (entry,) = await accept(ledger, make_entry())
    await ledger.record(parked(await claim_one(ledger)))
    assert (await ledger.gauges()).parked == {"unknown": 1}
    await ledger.cancel(entry.dispatches[0].id)
    assert await state_of(ledger, entry.dispatches[0].id) is State.CANCELLED
    assert (await ledger.gauges()).parked == {}


async def test_a_cancel_during_a_call_waits_for_its_outcome(ledger):
    lost, kept = await accept(ledger, make_entry(), make_entry())
    one, two = await ledger.claim(2)
    for entry in (lost, kept):
        assert (await ledger.cancel(entry.dispatches[0].id)).state is State.SENDING
    await ledger.record(waiting(one))
    await ledger.record(created(two))
    assert await state_of(ledger, one.dispatch.id) is State.CANCELLED
    assert await state_of(ledger, two.dispatch.id) is State.DONE


async def test_a_replay_skips_rules_that_made_or_may_make_a_chat(ledger):
    (entry,) = await accept(ledger, make_entry(rules=("made", "failed")))
    by_rule = {claim.dispatch.rule: claim for claim in await ledger.claim(2)}
    await ledger.record(created(by_rule["made"]))
    await ledger.record(failed(by_rule["failed"]))
    event_id = entry.event.id

    def replayed():
        made = make_entry(rules=("made", "failed", "new"))
        dispatches = tuple(replace(each, event_id=event_id) for each in made.dispatches)
        return replace(made, event=entry.event, dispatches=dispatches)

    added = await ledger.extend(event_id, replayed(), again=False)
    assert [rule for _, rule in added] == ["failed", "new"]
    assert await ledger.extend(event_id, replayed(), again=False) == []
    assert len(await ledger.extend(event_id, replayed(), again=True)) == 3


async def test_a_replayed_unmatched_event_is_accepted(ledger):
    (entry,) = await accept(ledger, make_entry(rules=()))
    made = make_entry()
    dispatches = tuple(replace(each, event_id=entry.event.id) for each in made.dispatches)
    await ledger.extend(entry.event.id, replace(made, event=entry.event, dispatches=dispatches), again=False)
    assert (await ledger.event(entry.event.id)).status is EventStatus.ACCEPTED
    assert len(await ledger.claim(5)) == 1


async def test_gauges_count_what_is_due_unless_sending_is_paused(ledger, clock):
    await accept(ledger, make_entry(), make_entry())
    clock.now += 3_000
    gauges = await ledger.gauges()
    assert (gauges.due, gauges.oldest_due, gauges.unfinished) == (2, 3_000, 2)
    await ledger.pause("circuit")
    paused = await ledger.gauges()
    assert (paused.due, paused.oldest_due, paused.unfinished) == (0, 0, 2)
    assert set(paused.paused) == {"circuit"}


async def test_gauges_count_results_that_are_not_told(ledger):
    await accept(ledger, make_entry(), make_entry())
    for claim in await ledger.claim(2):
        await ledger.record(created(claim))
    one, _ = await ledger.due(2)
    await ledger.settle(Settled(one.result.id, "", confirmed=False, retry_in=1, error="unroutable: no queue"))
    gauges = await ledger.gauges()
    assert (gauges.unpublished, gauges.unroutable) == (2, 1)


async def test_sources_are_paused_resumed_and_known_by_their_last_event(ledger):
    await ledger.pause_source("crm", paused=True)
    await ledger.pause_source("crm", paused=True)
    assert await ledger.paused_sources() == {"crm"}
    await ledger.pause_source("crm", paused=False)
    assert await ledger.paused_sources() == frozenset()
    (entry,) = await accept(ledger, make_entry())
    assert await ledger.last_events(["helpdesk", "crm"]) == {"helpdesk": entry.event.received_at}


async def test_refused_requests_are_listed_newest_first_and_bounded_per_source(ledger):
    for at in range(1_003):
        rejection = Rejection(new_id(), at, "crm", 401, "signature_wrong", "rotated", "10.0.0.1", {"a": "b"}, 3, "00")
        await ledger.reject(rejection)
    listed = await ledger.rejected("crm", 2_000)
    assert [each.at for each in listed] == list(range(1_002, 2, -1))
    assert listed[0].headers == {"a": "b"}
    assert await ledger.rejected("other", 10) == []


async def prune_all(ledger):
    while await ledger.prune():
        pass


def terms(**rest):
    return Terms("one", lease=40_000, publish=False, retain=DAY, retain_unmatched=DAY, remember=90 * DAY, **rest)


def make_old_entry(clock, **rest):
    """An entry whose ids were made at the clock's time, as they are in life."""
    entry = make_entry(**rest)
    stamp = f"{clock.now:012x}"
    event_id = f"{stamp[:8]}-{stamp[8:]}{entry.event.id[13:]}"
    event = replace(entry.event, id=event_id)
    return replace(entry, event=event, dispatches=tuple(replace(each, event_id=event_id) for each in entry.dispatches))


async def test_pruning_takes_what_has_ended_and_leaves_what_is_live_or_parked(store, clock):
    ledger = SqlLedger(store, terms())
    done, stuck, live = await accept(ledger, *(make_old_entry(clock) for _ in range(3)))
    claims = {claim.dispatch.event_id: claim for claim in await ledger.claim(2)}
    first, second = sorted(claims)
    await ledger.record(created(claims[first]))
    await ledger.record(parked(claims[second]))
    clock.now += DAY - 1
    await prune_all(ledger)
    assert len((await ledger.events(EventQuery())).events) == 3
    clock.now += 2
    await prune_all(ledger)
    left = {event.id for event in (await ledger.events(EventQuery())).events}
    assert left == {entry.event.id for entry in (done, stuck, live)} - {first}


async def test_an_event_is_known_when_it_has_long_been_pruned(store, clock):
    ledger = SqlLedger(store, terms())
    entry = make_old_entry(clock)
    await accept(ledger, entry)
    await ledger.record(created(await claim_one(ledger)))
    clock.now += 2 * DAY
    await prune_all(ledger)
    (receipt,) = await ledger.accept([make_old_entry(clock, external_id=entry.event.external_id)])
    assert (receipt.status, receipt.id, receipt.dispatches) == (EventStatus.DUPLICATE, entry.event.id, ())
    clock.now += 90 * DAY
    await prune_all(ledger)
    (receipt,) = await ledger.accept([make_old_entry(clock, external_id=entry.event.external_id)])
    assert receipt.status is EventStatus.ACCEPTED


async def test_unmatched_events_are_bounded_in_number_and_time(store, clock):
    ledger = SqlLedger(store, terms(max_unmatched=3))
    for _ in range(5):
        clock.now += 1
        await accept(ledger, make_old_entry(clock, rules=()))
    await prune_all(ledger)
    assert len((await ledger.events(EventQuery())).events) == 3
    clock.now += 2 * DAY
    await prune_all(ledger)
    assert (await ledger.events(EventQuery())).events == ()


async def test_what_is_not_told_yet_is_not_pruned(store, clock):
    ledger = SqlLedger(store, replace(terms(), publish=True))
    await accept(ledger, make_old_entry(clock))
    await ledger.record(created(await claim_one(ledger)))
    clock.now += 2 * DAY
    await prune_all(ledger)
    (due,) = await ledger.due(5)
    await ledger.settle(Settled(due.result.id, "", confirmed=True))
    await prune_all(ledger)
    assert (await ledger.events(EventQuery())).events == ()
