"""What every ledger promises of what comes in."""

import asyncio
from dataclasses import replace

import pytest

from relay.errors import Overloaded, Refused, Unavailable
from relay.ledger import SqlLedger, Terms
from relay.model import EventStatus, Failure, State, tell
from tests.ledger.build import make_dispatch, make_entry, make_event


async def test_a_new_event_is_receipted_with_its_dispatches(ledger):
    entry = make_entry("a", rules=("one", "two"))
    [receipt] = await ledger.accept([entry])
    assert (receipt.id, receipt.external_id, receipt.status) == (entry.event.id, "a", EventStatus.ACCEPTED)
    assert receipt.dispatches == tuple((each.id, each.rule) for each in entry.dispatches)


async def test_the_same_identity_again_makes_nothing_new_and_names_the_first(ledger):
    first, second = make_entry("a"), make_entry("a")
    await ledger.accept([first])
    [receipt] = await ledger.accept([second])
    assert (receipt.id, receipt.status, receipt.conflict) == (first.event.id, EventStatus.DUPLICATE, False)
    assert receipt.dispatches == ((first.dispatches[0].id, "urgent"),)
    assert [claim.dispatch.id for claim in await ledger.claim(10)] == [first.dispatches[0].id]


async def test_another_body_under_the_same_id_is_a_conflict_and_the_first_wins(ledger):
    await ledger.accept([make_entry("a", body={"n": 1})])
    [receipt] = await ledger.accept([make_entry("a", body={"n": 2})])
    assert (receipt.status, receipt.conflict) == (EventStatus.DUPLICATE, True)


@pytest.mark.parametrize("other", [{"source": "shop"}, {"origin": "/elsewhere"}])
async def test_source_and_origin_belong_to_the_identity(ledger, other):
    await ledger.accept([make_entry("a")])
    [receipt] = await ledger.accept([make_entry("a", **other)])
    assert receipt.status is EventStatus.ACCEPTED


async def test_a_repeat_within_one_delivery_is_a_duplicate(ledger):
    first, second = await ledger.accept([make_entry("a"), make_entry("a")])
    assert (first.status, second.status, second.id) == (EventStatus.ACCEPTED, EventStatus.DUPLICATE, first.id)


async def test_repeats_in_one_commit_are_told_apart_from_the_first(ledger):
    receipts = [one for [one] in await asyncio.gather(*(ledger.accept([make_entry("a")]) for _ in range(20)))]
    assert [one.status for one in receipts].count(EventStatus.ACCEPTED) == 1
    assert len({one.id for one in receipts}) == 1
    assert len(await ledger.claim(50)) == 1


async def test_an_id_is_new_again_when_it_is_no_longer_remembered(ledger, clock):
    await ledger.accept([make_entry("a")])
    clock.now += ledger.terms.remember
    second = make_entry("a")
    [receipt] = await ledger.accept([second])
    assert (receipt.id, receipt.status) == (second.event.id, EventStatus.ACCEPTED)


async def test_the_very_same_event_after_a_lost_answer_is_a_duplicate(ledger, clock):
    entry = make_entry("a")
    await ledger.accept([entry])
    clock.now += 5
    again = replace(entry, dispatches=(make_dispatch(entry.event),))
    [receipt] = await ledger.accept([again])
    assert (receipt.id, receipt.status) == (entry.event.id, EventStatus.DUPLICATE)
    assert receipt.dispatches == ((entry.dispatches[0].id, "urgent"),)


def message(session, tag, **rest):
    """A message without an id, as it came on a channel."""
    return make_entry(None, session=session, delivery=tag, **rest)


async def statuses(ledger, *entries):
    return [(await ledger.accept([entry]))[0].status.value for entry in entries]


async def test_without_an_id_equal_messages_are_as_many_events(ledger):
    assert (
        await statuses(ledger, make_entry(None), make_entry(None), message("s", 1), message("s", 2)) == ["accepted"] * 4
    )


async def test_what_another_consumer_gave_back_was_never_accepted_here_and_is_new(ledger):
    before = [message("s", tag, redelivered=True) for tag in (1, 2, 3)]
    assert await statuses(ledger, *before) == ["accepted"] * 3


async def test_what_was_accepted_and_not_acknowledged_is_a_duplicate_each_time_that_it_comes_again(ledger, clock):
    first = [message("s", tag) for tag in (1, 2, 3)]
    assert await statuses(ledger, *first) == ["accepted"] * 3
    receipts = [(await ledger.accept([message("t", tag, redelivered=True)]))[0] for tag in (1, 2, 3)]
    assert {receipt.status for receipt in receipts} == {EventStatus.DUPLICATE}
    assert {receipt.id for receipt in receipts} == {entry.event.id for entry in first}
    assert await statuses(ledger, message("t", 4, redelivered=True)) == ["accepted"], "each acceptance counts once"
    again = [message("u", tag, redelivered=True) for tag in (1, 2, 3, 4)]
    assert await statuses(ledger, *again) == ["duplicate"] * 4, "the process may die again before it acknowledges"
    other = message("v", 1, redelivered=True, body={"n": 9})
    assert await statuses(ledger, other, message("v", 2, redelivered=True, source="shop")) == ["accepted"] * 2
    clock.now += 3_600_000
    assert await statuses(ledger, message("w", 1, redelivered=True)) == ["accepted"]


async def test_the_same_delivery_after_a_lost_commit_is_a_duplicate_and_no_other_of_its_channel(ledger):
    assert await statuses(ledger, message("s", 1), message("s", 1), message("s", 2)) == [
        "accepted",
        "duplicate",
        "accepted",
    ]


async def test_equal_messages_in_one_commit_are_counted_too(ledger):
    await asyncio.gather(*(ledger.accept([message("s", tag)]) for tag in range(10)))
    receipts = await asyncio.gather(*(ledger.accept([message("t", tag, redelivered=True)]) for tag in range(12)))
    told = [one.status for [one] in receipts]
    assert (told.count(EventStatus.DUPLICATE), told.count(EventStatus.ACCEPTED)) == (10, 2)


async def test_a_dispatch_that_failed_to_render_has_ended_and_is_told_at_once(ledger):
    event = make_event("a")
    failure = Failure("render", "data.x is missing")
    failed = replace(make_dispatch(event), body=None, failure=failure, state=State.FAILED)
    fine = make_dispatch(event, "fine")
    told = tell.failed(event.about(), failed, failure, attempts=0, now=1)
    await ledger.accept([replace(make_entry("a"), event=event, dispatches=(failed, fine), results=(told,))])
    assert [claim.dispatch.rule for claim in await ledger.claim(10)] == ["fine"]
    assert [due.result for due in await ledger.due(10)] == [told]


async def test_a_held_dispatch_is_not_claimed(ledger):
    await ledger.accept([make_entry("a", dispatch={"state": State.HELD})])
    assert await ledger.claim(10) == []
    assert await ledger.wake() is None


async def test_a_caller_with_reply_to_is_told_of_an_unmatched_event_only_there(ledger):
    entry = make_entry("a", rules=(), reply_to="answers")
    told = tell.unmatched(entry.event, (), now=1)
    await ledger.accept([replace(entry, results=(told,))])
    assert [(due.destination, due.result) for due in await ledger.due(10)] == [("answers", told)]


async def test_without_a_broker_a_result_is_complete_with_its_commit(store):
    ledger = SqlLedger(store, Terms(owner="one", publish=False))
    entry = make_entry("a", rules=(), reply_to="answers")
    told = tell.unmatched(entry.event, (), now=1)
    await ledger.accept([replace(entry, results=(told,))])
    assert await ledger.due(10) == []
    assert [result for _, result in await ledger.follow(0, 10)] == [told]


def nest(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return value


BAD = {
    "a lone surrogate in an id": lambda: make_entry("\ud800"),
    "a number that no integer column holds": lambda: make_entry("huge", time=2**70),
    "NaN in the data": lambda: replace(make_entry("nan"), event=replace(make_event("nan"), data={"n": float("nan")})),
    "data nested 5,000 deep": lambda: replace(make_entry("deep"), event=replace(make_event("deep"), data=nest(5_000))),
    "an id that another event has": None,
}


@pytest.mark.parametrize("kind", BAD)
async def test_one_bad_input_in_a_shared_commit_is_refused_alone(ledger, kind):
    taken = make_entry("taken")
    await ledger.accept([taken])
    build = BAD[kind]
    bad = build() if build else replace(taken, event=replace(taken.event, external_id="fresh"))
    good = [make_entry() for _ in range(20)]
    deliveries = [[one] for one in good[:10]] + [[make_entry(), bad]] + [[one] for one in good[10:]]
    answers = await asyncio.gather(*(ledger.accept(one) for one in deliveries), return_exceptions=True)
    assert isinstance(answers[10], Refused)
    assert [one[0].status for index, one in enumerate(answers) if index != 10] == [EventStatus.ACCEPTED] * 20
    assert {claim.dispatch.id for claim in await ledger.claim(100)} == {
        each.dispatches[0].id for each in [taken, *good]
    }, "nothing of the refused delivery is kept, and nothing of the others is missing"


async def test_a_refusal_does_not_quote_the_input(ledger):
    with pytest.raises(Refused) as refused:
        await ledger.accept([make_entry("hush-hush\ud800")])
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_callers_who_stop_waiting_take_nothing_out_of_the_commit(ledger):
    entries = [make_entry() for _ in range(10)]
    tasks = [asyncio.create_task(ledger.accept([entry])) for entry in entries]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await ledger.known(entries), "those who left have their events kept, too"
    assert len(await ledger.claim(20)) == 10


async def test_known_answers_only_when_all_of_a_delivery_is_known(ledger, clock):
    first, second = make_entry("a"), make_entry("b")
    await ledger.accept([first, second])
    receipts = await ledger.known([make_entry("b"), make_entry("a")])
    assert [(one.id, one.status) for one in receipts] == [
        (second.event.id, EventStatus.DUPLICATE),
        (first.event.id, EventStatus.DUPLICATE),
    ]
    assert await ledger.known([make_entry("a"), make_entry("new")]) is None
    assert await ledger.known([make_entry(None)]) is None
    clock.now += ledger.terms.remember
    assert await ledger.known([make_entry("a")]) is None


async def test_slots_stay_below_the_mark_over_all_replicas(store):
    one, two = (SqlLedger(store, Terms(owner=name, high_water=10)) for name in ("one", "two"))
    assert await one.reserve(6) == 6
    assert await two.reserve(6) == 4
    await one.accept([make_entry() for _ in range(3)])
    assert await two.reserve(6) == 1, "what another used of its grant counts twice until it renews it"
    assert await one.reserve(6) == 6


async def test_slots_of_a_replica_that_is_gone_lapse(store, clock):
    one, two = (SqlLedger(store, Terms(owner=name, high_water=10)) for name in ("one", "two"))
    assert await one.reserve(10) == 10
    assert await two.reserve(1) == 0
    clock.now += 30_000
    assert await two.reserve(10) == 10


async def test_a_probe_writes_and_leaves_nothing_that_counts(ledger, other):
    before = await ledger.gauges()
    await asyncio.gather(ledger.probe(), other.probe(), ledger.probe())
    assert await ledger.gauges() == before
    assert await ledger.wake() is None


async def test_a_probe_fails_where_the_ledger_answers_and_takes_no_writes(ledger, store, monkeypatch):
    """As after a failover, or on a disk that became read-only."""
    forbid = "PRAGMA query_only = 1" if store.shares else "SET TRANSACTION READ ONLY"
    write = store.write

    async def refuse(work, **_):
        def read_only(conn, now):
            conn.exec_driver_sql(forbid)
            return work(conn, now)

        return await write(read_only)

    monkeypatch.setattr(store, "write", refuse)
    await ledger.gauges()
    with pytest.raises(Unavailable):
        await ledger.probe()


SIGNED = b"s" * 32
OTHER = b"t" * 32


async def test_what_was_signed_before_is_a_duplicate_under_whatever_id(ledger, clock):
    first = make_entry("a", repeat=SIGNED)
    await ledger.accept([first])
    for name in ("b", "c", None):
        [receipt] = await ledger.accept([make_entry(name, repeat=SIGNED)])
        assert (receipt.status, receipt.id) == (EventStatus.DUPLICATE, first.event.id)
        assert receipt.dispatches == ((first.dispatches[0].id, "urgent"),)
        assert (receipt.repeated, receipt.conflict) == (name is not None, False)
    assert len(await ledger.claim(10)) == 1
    clock.now += ledger.terms.remember
    [late] = await ledger.accept([make_entry("d", repeat=SIGNED)])
    assert late.status is EventStatus.ACCEPTED


async def test_an_event_without_an_id_is_known_by_what_was_signed_as_long_as_any(ledger, clock):
    first = make_entry(None, repeat=SIGNED)
    [new] = await ledger.accept([first])
    assert new.status is EventStatus.ACCEPTED
    clock.now += ledger.terms.remember - 1
    [again] = await ledger.accept([make_entry(None, repeat=SIGNED)])
    [other] = await ledger.accept([make_entry(None, repeat=OTHER)])
    assert (again.status, again.id, again.repeated) == (EventStatus.DUPLICATE, first.event.id, False)
    assert other.status is EventStatus.ACCEPTED


async def test_what_was_signed_belongs_to_its_source(ledger):
    await ledger.accept([make_entry("a", repeat=SIGNED)])
    [receipt] = await ledger.accept([make_entry("a", source="shop", repeat=SIGNED)])
    assert receipt.status is EventStatus.ACCEPTED


async def test_a_known_id_is_known_whatever_was_signed_and_that_is_remembered_too(ledger):
    first = make_entry("a", repeat=SIGNED)
    await ledger.accept([first])
    [again] = await ledger.accept([make_entry("a", body={"n": 2}, repeat=OTHER)])
    assert (again.status, again.id, again.conflict) == (EventStatus.DUPLICATE, first.event.id, True)
    [replayed] = await ledger.accept([make_entry("z", body={"n": 2}, repeat=OTHER)])
    assert (replayed.status, replayed.id, replayed.repeated) == (EventStatus.DUPLICATE, first.event.id, True)


async def test_the_id_of_a_replay_stays_free_for_whom_it_belongs_to(ledger):
    """Else whoever replays a request could use up the ids of events to come."""
    await ledger.accept([make_entry("a", repeat=SIGNED)])
    await ledger.accept([make_entry("b", repeat=SIGNED)])
    rightful = make_entry("b", body={"n": 2}, repeat=OTHER)
    [receipt] = await ledger.accept([rightful])
    assert (receipt.status, receipt.id) == (EventStatus.ACCEPTED, rightful.event.id)


async def test_replays_in_one_commit_are_told_apart_from_the_first_and_leave_their_ids_free(ledger):
    """All in one delivery, so that one transaction sees them in this order."""
    first, replay, rightful = (
        make_entry("a", repeat=SIGNED),
        make_entry("b", repeat=SIGNED),
        make_entry("b", body={"n": 2}, repeat=OTHER),
    )
    third = make_entry("c", body={"n": 2}, repeat=OTHER)
    receipts = await ledger.accept([first, replay, rightful, third])
    assert [(one.id, one.status) for one in receipts] == [
        (first.event.id, EventStatus.ACCEPTED),
        (first.event.id, EventStatus.DUPLICATE),
        (rightful.event.id, EventStatus.ACCEPTED),
        (rightful.event.id, EventStatus.DUPLICATE),
    ]
    again = [await ledger.accept([make_entry(name)]) for name in ("a", "b")]
    assert [one.id for [one] in again] == [first.event.id, rightful.event.id]
    assert len(await ledger.claim(10)) == 2


async def test_replays_that_share_a_commit_make_one_event(ledger):
    entries = [make_entry(repeat=SIGNED) for _ in range(20)]
    receipts = [one for [one] in await asyncio.gather(*(ledger.accept([entry]) for entry in entries))]
    assert [one.status for one in receipts].count(EventStatus.ACCEPTED) == 1
    assert len({one.id for one in receipts}) == 1
    assert len(await ledger.claim(50)) == 1


async def test_replicas_that_are_sent_one_request_under_many_ids_make_one_event(replicas):
    """At the same time, in batches that overlap in no order of their keys."""
    one, two = replicas
    for turn in range(10):
        signed = [bytes([turn, at]) * 16 for at in range(20)]
        entries = [[make_entry(repeat=each)] for each in signed for _ in range(4)]
        sent = [(one if at % 2 else two).accept(entry) for at, entry in enumerate(entries)]
        receipts = [receipt for [receipt] in await asyncio.gather(*sent)]
        assert sum(receipt.status is EventStatus.ACCEPTED for receipt in receipts) == len(signed)
        assert len({receipt.id for receipt in receipts}) == len(signed)


async def test_known_answers_a_replay_too(ledger):
    first = make_entry("a", repeat=SIGNED)
    await ledger.accept([first])
    receipts = await ledger.known([make_entry("b", repeat=SIGNED)])
    assert [(one.id, one.repeated) for one in receipts] == [(first.event.id, True)]
    assert await ledger.known([make_entry("b", repeat=OTHER)]) is None


async def test_the_very_same_event_after_a_lost_answer_is_known_by_both_its_identities(ledger, clock):
    entry = make_entry("a", repeat=SIGNED)
    await ledger.accept([entry])
    clock.now += 5
    [receipt] = await ledger.accept([entry])
    assert (receipt.id, receipt.status, receipt.repeated) == (entry.event.id, EventStatus.DUPLICATE, False)


def twin(name, kind, **rest):
    entry = make_entry(name, repeat=SIGNED, twins=True, **rest)
    return replace(entry, event=replace(entry.event, type=kind))


async def test_twins_have_one_body_under_two_types_and_each_comes_once(ledger):
    created, updated = twin("a", "orders/create"), twin("b", "orders/updated")
    receipts = [(await ledger.accept([one]))[0] for one in (created, updated)]
    assert [one.status for one in receipts] == [EventStatus.ACCEPTED, EventStatus.ACCEPTED]
    [again] = await ledger.accept([twin("c", "orders/updated")])
    assert (again.status, again.id) == (EventStatus.DUPLICATE, updated.event.id)
    [foreign] = await ledger.accept([make_entry("d", repeat=SIGNED)])
    assert (foreign.status, foreign.id, foreign.repeated) == (EventStatus.DUPLICATE, created.event.id, True)


async def test_twins_of_one_commit_are_told_apart(ledger):
    entries = [twin("a", "orders/create"), twin("b", "orders/updated"), twin("c", "orders/create")]
    receipts = await ledger.accept(entries)
    first, second, _ = (one.event.id for one in entries)
    assert [one.id for one in receipts] == [first, second, first]
    [foreign] = await ledger.accept([make_entry("d", repeat=SIGNED)])
    assert foreign.id == first


async def test_past_what_may_wait_for_a_commit_intake_says_no_at_once(store, monkeypatch):
    monkeypatch.setattr("relay.ledger.ledger._WAITING", 10)
    ledger = SqlLedger(store, Terms(owner="one"))
    asked = [asyncio.create_task(ledger.accept([make_entry(f"many-{number}")])) for number in range(50)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert 0 < len(refused) <= 40
    assert all(answer.retry_after for answer in refused)
    for number, answer in enumerate(answers):
        [receipt] = await ledger.accept([make_entry(f"many-{number}")])
        wanted = EventStatus.ACCEPTED if isinstance(answer, Overloaded) else EventStatus.DUPLICATE
        assert receipt.status is wanted
