"""What every ledger promises of what is told."""

import asyncio
from dataclasses import replace

from sqlalchemy import select

from relay.ledger.schema import outbox, results
from relay.model import Failure, Recorded, ResultType, Settled, State, Verdict, tell
from tests.ledger.build import created, make_entry, move


async def tell_one(ledger, **rest):
    """One event becomes a chat; gives the result that is due."""
    await ledger.accept([make_entry(**rest)])
    [claim] = await ledger.claim(10)
    done = created(claim)
    await ledger.record(done)
    return done.results[0]


async def rows_of(ledger, table):
    return await ledger.read(lambda conn, _: [dict(row) for row in conn.execute(select(table)).mappings()])


async def test_a_result_is_due_once_per_destination(ledger):
    result = await tell_one(ledger, reply_to="answers")
    assert {(due.destination, due.result.id) for due in await ledger.due(10)} == {
        ("", result.id),
        ("answers", result.id),
    }
    assert await ledger.due(10) == [], "both are leased"


async def test_what_is_handed_out_is_what_is_kept(ledger):
    """Also by the replica that put it in, which need not read it again, and after more than it remembers."""
    told = [await tell_one(ledger, reply_to="answers") for _ in range(3)]
    await ledger.accept([make_entry() for _ in range(1_100)])
    while claims := await ledger.claim(100):
        moves = [created(claim) for claim in claims]
        await asyncio.gather(*(ledger.record(one) for one in moves))
        told += [one.results[0] for one in moves]
    handed = [due for most in (2, 5, 2_000) for due in await ledger.due(most)]
    kept = {result.id: result for _, result in await ledger.follow(0, 2_000)}
    assert len(handed) == len({(due.destination, due.result.id) for due in handed}) == len(told) + 3
    assert {due.result.id for due in handed} == {result.id for result in told}
    assert all(due.result == kept[due.result.id] for due in handed)


async def test_a_failure_that_found_a_chat_is_handed_out_as_the_chat(ledger, clock):
    """A replica made a chat after its lease was lost; the one that took over met a refusal, told under the same id."""
    await ledger.accept([make_entry()])
    [lost] = await ledger.claim(1)
    clock.now += 10**6
    await ledger.sweep()
    clock.now += 10**6
    [doubt] = await ledger.doubts(1)
    await ledger.record(move(doubt.claim, State.WAITING, due_in=0))
    [again] = await ledger.claim(1)
    assert (await ledger.record(created(lost))).how is Recorded.LATE, "it waits for what the other one records"
    failure = Failure("refused", "no")
    told = tell.failed(again.about, again.dispatch, failure, attempts=2, now=clock.now)
    refused = move(again, State.FAILED, verdict=Verdict.PERMANENT, failure=failure, results=(told,))
    assert (await ledger.record(refused)).how is Recorded.ADOPTED
    [due] = await ledger.due(10)
    [(_, kept)] = await ledger.follow(0, 10)
    assert (due.result.id, due.result.type) == (told.id, ResultType.CREATED)
    assert due.result == kept


async def test_a_confirmed_delivery_is_over(ledger, clock):
    result = await tell_one(ledger)
    await ledger.due(10)
    await ledger.settle(Settled(result.id, "", confirmed=True))
    clock.now += 10**9
    assert await ledger.due(10) == []
    assert await rows_of(ledger, outbox) == []


async def test_a_delivery_that_did_not_work_comes_again_when_its_time_has_come(ledger, clock):
    result = await tell_one(ledger)
    clock.now += 250
    [due] = await ledger.due(10)
    assert (due.tries, due.age) == (0, 250)
    await ledger.settle(Settled(result.id, "", confirmed=False, retry_in=5_000, error="unroutable"))
    clock.now += 4_999
    assert await ledger.due(10) == []
    clock.now += 1
    [due] = await ledger.due(10)
    assert (due.tries, due.age) == (1, 5_250)
    assert [row["error"] for row in await rows_of(ledger, outbox)] == ["unroutable"]


async def test_a_delivery_whose_publisher_is_gone_comes_again_after_its_lease(ledger, other, clock):
    result = await tell_one(ledger)
    await ledger.due(10)
    clock.now += 59_999
    assert await other.due(10) == []
    clock.now += 1
    assert [due.result for due in await other.due(10)] == [result]


async def test_what_was_due_before_a_clock_was_set_back_is_due_after_it(ledger, clock):
    """Else it would wait, seen by nobody, until the old time comes again."""
    await ledger.accept([make_entry(), make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    await ledger.sweep()
    clock.now -= 7_200_000
    assert (await ledger.claim(1), list(await ledger.due(1))) == ([], [])
    await ledger.sweep()
    assert (len(await ledger.claim(2)), len(await ledger.due(2))) == (1, 1)


async def test_a_delivery_leased_before_a_clock_was_set_back_is_freed(ledger, clock):
    await tell_one(ledger)
    await ledger.due(10)
    clock.now -= 86_400_000
    await ledger.sweep()
    assert len(await ledger.due(10)) == 1


async def test_what_cannot_be_delivered_is_given_up_and_noted(ledger):
    result = await tell_one(ledger, reply_to="answers")
    await ledger.due(10)
    await ledger.settle(Settled(result.id, "answers", confirmed=False, undeliverable=True, error="too old"))
    assert [row["destination"] for row in await rows_of(ledger, outbox)] == [""]
    assert [row["undeliverable"] for row in await rows_of(ledger, results)] == ['["answers"]']


async def test_two_publishers_share_what_is_due(ledger, other):
    for _ in range(30):
        await tell_one(ledger)
    shares = await asyncio.gather(*(each.due(4) for each in [ledger, other] * 5))
    taken = [due for share in shares for due in share]
    assert len(taken) == len({due.result.id for due in taken}) == 30


async def test_the_stream_gives_each_result_once_in_the_order_of_its_cursor(ledger):
    told = [await tell_one(ledger) for _ in range(5)]
    first = await ledger.follow(0, 3)
    rest = await ledger.follow(first[-1][0], 10)
    assert [result for _, result in first + rest] == told
    assert await ledger.latest() == rest[-1][0]
    assert await ledger.follow(rest[-1][0], 10) == []


async def test_an_empty_stream_begins_at_zero(ledger):
    assert await ledger.latest() == 0
    assert await ledger.follow(0, 10) == []


async def test_a_result_with_an_id_that_is_told_already_changes_nothing(ledger):
    await ledger.accept([make_entry(), make_entry()])
    first, second = await ledger.claim(10)
    move = created(first)
    await ledger.record(move)
    same = replace(created(second).results[0], id=move.results[0].id)
    await ledger.record(replace(created(second), results=(same,)))
    assert [result for _, result in await ledger.follow(0, 10)] == list(move.results)


async def test_people_see_what_was_told_and_what_waits_for_whom(ledger, clock):
    told = []
    for _ in range(3):
        told.append((await tell_one(ledger, reply_to="answers")).id)
        clock.now += 1_000
    while await ledger.sequence():
        pass
    waiting = (await ledger.waiting(9)).results
    assert [(view.result.id, set(view.pending)) for view in waiting] == [(each, {"", "answers"}) for each in told]
    assert [view.result.id for view in (await ledger.waiting(2)).results] == told[:1], "both destinations of the first"
    await ledger.settle(Settled(told[0], "", confirmed=True))
    await ledger.settle(Settled(told[1], "answers", confirmed=True))
    assert {view.result.id: set(view.pending) for view in (await ledger.waiting(9)).results} == {
        told[0]: {"answers"},
        told[1]: {""},
        told[2]: {"", "answers"},
    }
    first = await ledger.told(None, 2)
    last = await ledger.told(first.cursor, 2)
    assert [view.result.id for view in (*first.results, *last.results)] == told[::-1]
    assert last.cursor is None
    for result_id in told:
        for destination in ("", "answers"):
            await ledger.settle(Settled(result_id, destination, confirmed=True))
    assert (await ledger.waiting(9)).results == ()
