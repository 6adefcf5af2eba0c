"""What every ledger promises of dispatches that are held: `order`, `delay` with `unless`, `schedule`."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from relay.errors import Conflict
from relay.ledger.schema import rule_keys
from relay.model import Failure, HeldBy, ParkReason, State
from tests.ledger.build import created, make_entry, move, waiting

MINUTE = 60_000
CLOSED = {"open": ["09:00-18:00 UTC"], "except": []}


def ordered(key="ticket-1", *, skip=None, **plan):
    return make_entry(dispatch={"plan": {"order": {"key": key, "skip": skip}, **plan}})


def delayed(key=None, *, wait=MINUTE, **plan):
    delay = {"for": wait} if key is None else {"for": wait, "key": key}
    return make_entry(dispatch={"plan": {"delay": delay, **plan}})


def cancelling(key, **rest):
    return replace(make_entry(**rest), cancels=(("urgent", key),))


async def view_of(ledger, entry):
    [view] = (await ledger.event(entry.event.id)).dispatches
    return view


async def held(ledger, entry):
    """What holds an event's dispatch, and the dispatch that it waits for."""
    view = await view_of(ledger, entry)
    return view.held and (view.held.by, view.held.key, view.held.cause)


async def take(ledger, limit=10):
    return await ledger.claim(limit)


def ids(*entries):
    return [entry.dispatches[0].id for entry in entries]


def failed(claim):
    return move(claim, State.FAILED, failure=Failure("refused", "no"))


def parked(claim):
    return move(claim, State.PARKED, park=ParkReason.UNKNOWN, failure=Failure("unknown", "no answer"))


# --- order


async def test_dispatches_of_a_key_go_one_after_another_in_order_of_arrival(ledger):
    entries = [ordered(), ordered(), ordered("other"), ordered()]
    await ledger.accept(entries)
    claims = await take(ledger)
    assert [claim.dispatch.id for claim in claims] == sorted(ids(entries[0], entries[2]))
    first = next(claim for claim in claims if claim.dispatch.id == ids(entries[0])[0])
    assert await held(ledger, entries[1]) == ("order", "ticket-1", first.dispatch.id)
    assert await held(ledger, entries[3]) == ("order", "ticket-1", first.dispatch.id)
    assert (await view_of(ledger, entries[1])).held.until is None
    await ledger.record(created(first))
    [second] = await take(ledger)
    assert second.dispatch.id == ids(entries[1])[0]
    assert await held(ledger, entries[1]) is None
    await ledger.record(failed(second))
    [last] = await take(ledger)
    assert last.dispatch.id == ids(entries[3])[0]
    await ledger.record(created(last))
    assert await ledger.read(lambda conn, _: conn.execute(select(func.count()).select_from(rule_keys)).scalar()) == 1


async def test_it_holds_over_deliveries_and_replicas(ledger, other):
    first, second = ordered(), ordered()
    await ledger.accept([first])
    await other.accept([second])
    [claim] = await other.claim(10)
    assert claim.dispatch.id == ids(first)[0]
    await other.record(created(claim))
    assert [claim.dispatch.id for claim in await ledger.claim(10)] == ids(second)


async def test_a_dispatch_that_is_tried_again_keeps_its_turn(ledger, clock):
    first, second = ordered(), ordered()
    await ledger.accept([first, second])
    [claim] = await take(ledger)
    await ledger.record(waiting(claim, 1_000))
    assert await take(ledger) == []
    clock.now += 1_000
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(first)


async def test_the_first_message_belongs_to_the_turn(ledger):
    first = make_entry(dispatch={"plan": {"order": {"key": "k", "skip": None}}, "message": "Hello"})
    second = ordered("k")
    await ledger.accept([first, second])
    [claim] = await take(ledger)
    await ledger.record(created(claim))
    [message] = await take(ledger)
    assert (message.state, message.dispatch.id) == (State.MESSAGING, ids(first)[0])
    await ledger.record(move(message, State.DONE))
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(second)


async def test_a_parked_dispatch_holds_its_key_and_is_the_cause(ledger):
    entries = [ordered(), ordered(), ordered()]
    await ledger.accept(entries)
    [claim] = await take(ledger)
    await ledger.record(parked(claim))
    assert await take(ledger) == []
    for entry in entries[1:]:
        assert await held(ledger, entry) == ("order", "ticket-1", claim.dispatch.id)
    await ledger.retry(claim.dispatch.id, None)
    [again] = await ledger.doubts(10)
    assert again.claim.dispatch.id == claim.dispatch.id
    assert await take(ledger) == []


async def test_a_parked_dispatch_that_a_person_cancels_lets_the_next_one_go(ledger):
    first, second = ordered(), ordered()
    await ledger.accept([first, second])
    [claim] = await take(ledger)
    await ledger.record(parked(claim))
    await ledger.cancel(claim.dispatch.id)
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(second)


async def test_a_parked_dispatch_is_passed_over_where_its_rule_says_so(ledger):
    first, second = ordered(skip="parked"), ordered(skip="parked")
    await ledger.accept([first, second])
    [claim] = await take(ledger)
    await ledger.record(parked(claim))
    [following] = await take(ledger)
    assert following.dispatch.id == ids(second)[0]
    await ledger.record(created(following))
    third = ordered(skip="parked")
    await ledger.accept([third])
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(third)


@pytest.mark.parametrize("by", ["event", "window", "retry"])
async def test_what_is_parked_is_passed_over_as_soon_as_its_rule_says_so(ledger, clock, by):
    """Its rule was reloaded: the next of its key that comes frees those that wait, and waits for them."""
    first, failed_one, waits = ordered(), ordered(), ordered()
    if by == "retry":
        await ledger.accept([failed_one])
        [claim] = await take(ledger)
        await ledger.record(failed(claim))
    await ledger.accept([first, waits])
    [claim] = await take(ledger)
    await ledger.record(parked(claim))
    assert await take(ledger) == []
    debounce = {"debounce": {"key": "k", "wait": 1, "max": 1, "keep": "last", "size": 1}} if by == "window" else {}
    late = ordered(skip="parked", **debounce)
    if by == "retry":
        late = failed_one
        await ledger.retry(ids(late)[0], replace(ordered(skip="parked").dispatches[0], id=ids(late)[0]))
    else:
        await ledger.accept([late])
        clock.now += 1
        await ledger.close_windows({})
    [claim] = await take(ledger)
    assert claim.dispatch.id == ids(waits)[0]
    assert await held(ledger, late) == ("order", "ticket-1", ids(waits)[0])
    await ledger.record(created(claim))
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(late)


async def test_one_that_passes_over_the_only_one_goes_at_once(ledger):
    first, second = ordered(), ordered(skip="parked")
    await ledger.accept([first])
    [claim] = await take(ledger)
    await ledger.record(parked(claim))
    await ledger.accept([second])
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(second)


async def test_a_chat_that_comes_late_for_a_parked_dispatch_lets_the_next_one_go(ledger):
    first, second = ordered(), ordered()
    await ledger.accept([first, second])
    [claim] = await take(ledger)
    await ledger.record(parked(claim))
    await ledger.record(created(claim))
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(second)


async def test_one_in_the_middle_that_is_cancelled_holds_up_nobody(ledger):
    entries = [ordered(), ordered(), ordered()]
    await ledger.accept(entries)
    [claim] = await take(ledger)
    await ledger.cancel(ids(entries[1])[0])
    await ledger.record(created(claim))
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(entries[2])


async def test_a_held_dispatch_that_a_person_retries_goes_now(ledger):
    entries = [ordered(), ordered(), ordered()]
    await ledger.accept(entries)
    [claim] = await take(ledger)
    again = await ledger.retry(ids(entries[1])[0], None)
    assert (again.state, again.run) == (State.READY, 2)
    assert [each.dispatch.id for each in await take(ledger)] == ids(entries[1])
    await ledger.record(created(claim))
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(entries[2])


async def test_what_ended_and_is_retried_waits_for_its_turn(ledger):
    entries = [ordered(), ordered()]
    await ledger.accept(entries)
    [claim] = await take(ledger)
    await ledger.record(failed(claim))
    [second] = await take(ledger)
    assert (await ledger.retry(claim.dispatch.id, None)).state is State.HELD
    assert await held(ledger, entries[0]) == ("order", "ticket-1", second.dispatch.id)
    await ledger.record(created(second))
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(entries[0])


async def test_a_replay_keeps_the_order(ledger):
    first, second = ordered(), ordered()
    await ledger.accept([first])
    second = replace(first, dispatches=(replace(second.dispatches[0], event_id=first.event.id),))
    await ledger.extend(first.event.id, second, again=True)
    [claim] = await take(ledger)
    assert claim.dispatch.id == ids(first)[0]
    await ledger.record(created(claim))
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(second)


async def test_a_dispatch_that_expires_behind_others_lets_the_next_one_go(ledger, clock):
    entries = [ordered(), ordered(expires=MINUTE), ordered()]
    await ledger.accept(entries)
    [claim] = await take(ledger)
    clock.now += MINUTE
    assert [dispatch.id for dispatch in await ledger.expire()] == ids(entries[1])
    await ledger.record(created(claim))
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(entries[2])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("aaacfpn"), st.sampled_from("xy"), st.integers(0, 5)), min_size=4, max_size=30
    )
)
async def test_at_most_one_of_a_key_is_under_way_and_all_go_in_the_end(ledger, clock, steps):
    """Arrivals, chats, failures, parking and cancelling of two keys, in any order."""
    clock.now += 1
    arrived, under_way, stopped = {"x": [], "y": []}, {}, []
    for what, key, number in steps:
        if what == "a":
            entry = ordered(f"{key}-{clock.now}")
            await ledger.accept([entry])
            arrived[key].append(ids(entry)[0])
        elif what == "c" and arrived[key]:
            with suppress(Conflict):
                await ledger.cancel(arrived[key][number % len(arrived[key])])
        elif what in "fpn" and (claim := under_way.pop(key, None)) is not None:
            await ledger.record({"n": created, "f": failed, "p": parked}[what](claim))
            stopped += [claim.dispatch.id] if what == "p" else []
        for claim in await ledger.claim(10):
            of = "x" if claim.dispatch.id in arrived["x"] else "y"
            assert of not in under_way, "two of one key are under way"
            under_way[of] = claim
    for dispatch_id in stopped:
        with suppress(Conflict):
            await ledger.cancel(dispatch_id)
    went = []
    while claims := [*under_way.values(), *await ledger.claim(10)]:
        under_way = {}
        went += [claim.dispatch.id for claim in claims]
        for claim in claims:
            await ledger.record(created(claim))
    for known in arrived.values():
        assert [each for each in known if each in went] == [each for each in went if each in known]
    assert (await ledger.gauges()).unfinished == 0


# --- delay


async def test_a_delayed_dispatch_is_held_that_long(ledger, clock):
    entry = delayed()
    await ledger.accept([entry])
    began = clock.now
    assert await take(ledger) == []
    view = await view_of(ledger, entry)
    assert (view.state, view.held.by, view.held.until) == (State.HELD, HeldBy.DELAY, began + MINUTE)
    assert await ledger.wake() == MINUTE
    clock.now += MINUTE
    [claim] = await take(ledger)
    assert (claim.dispatch.id, (await view_of(ledger, entry)).held) == (ids(entry)[0], None)


async def test_an_event_cancels_what_is_held_under_the_key(ledger, clock):
    entry, other_key = delayed("t-1"), delayed("t-2")
    await ledger.accept([entry, other_key])
    solved = cancelling("t-1", rules=())
    [receipt] = await ledger.accept([solved])
    assert [dispatch.id for dispatch in receipt.cancelled] == ids(entry)
    view = await view_of(ledger, entry)
    assert (view.state, view.failure.code) == (State.CANCELLED, "cancelled")
    [due] = await ledger.due(10)
    assert (due.result.data["error"]["code"], due.result.data["by"]) == ("cancelled", {"eventId": solved.event.id})
    clock.now += MINUTE
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(other_key)


async def test_what_has_begun_is_not_cancelled(ledger, clock):
    entry = delayed("t-1")
    await ledger.accept([entry])
    clock.now += MINUTE
    [claim] = await take(ledger)
    [receipt] = await ledger.accept([cancelling("t-1")])
    assert receipt.cancelled == ()
    await ledger.record(waiting(claim, 0))
    [receipt] = await ledger.accept([cancelling("t-1")])
    assert receipt.cancelled == ()


async def test_within_a_delivery_an_event_cancels_what_came_before_it(ledger):
    before, both, after = delayed("t"), cancelling("t"), delayed("t")
    both = replace(both, dispatches=(replace(both.dispatches[0], plan={"delay": {"for": MINUTE, "key": "t"}}),))
    receipts = await ledger.accept([before, both, after])
    assert [[dispatch.id for dispatch in receipt.cancelled] for receipt in receipts] == [[], ids(before), []]
    assert (await view_of(ledger, both)).state is State.HELD
    assert (await view_of(ledger, after)).state is State.HELD


async def test_what_is_cancelled_leaves_its_queue(ledger, clock):
    plan = {"order": {"key": "k", "skip": None}}
    first, second = delayed("t-1", **plan), delayed("t-2", **plan)
    await ledger.accept([first, second])
    assert await held(ledger, second) == ("order", "k", ids(first)[0])
    await ledger.accept([cancelling("t-1", rules=())])
    assert (await view_of(ledger, second)).held.by is HeldBy.DELAY
    clock.now += MINUTE
    assert [claim.dispatch.id for claim in await take(ledger)] == ids(second)


async def test_a_duplicate_cancels_nothing(ledger):
    solved = cancelling("t")
    await ledger.accept([solved])
    entry = delayed("t")
    await ledger.accept([entry])
    again = replace(solved, event=replace(solved.event, id="other"))
    await ledger.accept([again])
    assert (await view_of(ledger, entry)).state is State.HELD


async def test_a_delay_does_not_count_for_expires(ledger, clock):
    entry = delayed(wait=10 * MINUTE, expires=MINUTE)
    await ledger.accept([entry])
    clock.now += 10 * MINUTE + MINUTE - 1
    assert await ledger.expire() == []
    clock.now += 1
    assert [dispatch.id for dispatch in await ledger.expire()] == ids(entry)


# --- schedule


@pytest.fixture
def at(clock):
    """Set the ledger's clock to a time of 2026-11-30, UTC."""

    def set_to(hour, minute=0):
        clock.now = 1_796_000_400_000 - 1_796_000_400_000 % 86_400_000 + hour * 3_600_000 + minute * MINUTE

    return set_to


def scheduled(**plan):
    return make_entry(dispatch={"plan": {"schedule": CLOSED, **plan}})


async def test_what_comes_while_it_is_open_goes_at_once(ledger, at):
    at(10)
    await ledger.accept([scheduled()])
    assert len(await take(ledger)) == 1


async def test_what_comes_while_it_is_closed_is_held_till_it_opens(ledger, at, clock):
    at(19)
    entry = scheduled(expires=MINUTE)
    await ledger.accept([entry])
    view = await view_of(ledger, entry)
    assert (view.held.by, view.held.until) == (HeldBy.SCHEDULE, clock.now + 14 * 60 * MINUTE)
    clock.now += 14 * 60 * MINUTE
    assert await ledger.expire() == []
    assert len(await take(ledger)) == 1


async def test_what_has_its_turn_while_it_is_closed_is_held_again(ledger, at, clock):
    """Sending was paused in the afternoon and goes on in the evening."""
    at(17)
    entry = scheduled(expires=3 * 60 * MINUTE)
    await ledger.accept([entry])
    at(18)
    assert await take(ledger) == []
    view = await view_of(ledger, entry)
    assert (view.state, view.held.by, view.attempts) == (State.HELD, HeldBy.SCHEDULE, 0)
    at(24 + 9)
    assert await ledger.expire() == []
    [claim] = await take(ledger)
    assert (claim.attempt, claim.attempts, claim.waited) == (1, 1, 0)


async def test_a_delay_that_ends_while_it_is_closed(ledger, at):
    at(17, 59)
    entry = delayed(wait=2 * MINUTE, schedule=CLOSED)
    await ledger.accept([entry])
    assert (await view_of(ledger, entry)).held.by is HeldBy.DELAY
    at(18, 1)
    assert await take(ledger) == []
    assert (await view_of(ledger, entry)).held.by is HeldBy.SCHEDULE


async def test_what_a_person_retries_goes_although_it_is_closed(ledger, at):
    at(19)
    entry = scheduled()
    await ledger.accept([entry])
    await ledger.retry(ids(entry)[0], None)
    assert len(await take(ledger)) == 1


async def test_two_replicas_take_in_and_send_what_is_ordered(replicas):
    """Batches of a hundred events of a few keys, in any order, on both at once: none waits for another for ever."""
    keys = [f"k-{number}" for number in range(5)]
    batches = [[ordered(key) for key in order * 20] for order in (keys, keys[::-1], keys[2:] + keys[:2], keys)]
    left = sum(map(len, batches))
    under_way, went = {}, []

    def key_of(claim):
        return claim.dispatch.name

    async def take_in(ledger, batch):
        named = [replace(entry, dispatches=(replace(entry.dispatches[0], name=name_of(entry)),)) for entry in batch]
        await ledger.accept(named)

    async def send(ledger):
        nonlocal left
        while left:
            for claim in await ledger.claim(3):
                assert key_of(claim) not in under_way, "two of one key are under way"
                under_way[key_of(claim)] = claim
                await asyncio.sleep(0)
                del under_way[key_of(claim)]
                went.append(claim.dispatch.id)
                await ledger.record(failed(claim))
                left -= 1

    one, two = replicas
    async with asyncio.timeout(120):
        await asyncio.gather(
            *(take_in((one, two)[number % 2], batch) for number, batch in enumerate(batches)), send(one), send(two)
        )
    assert len(went) == len(set(went)) == sum(map(len, batches))
    for batch in batches:
        for key in keys:
            of_key = [entry.dispatches[0].id for entry in batch if name_of(entry) == key]
            assert [each for each in went if each in set(of_key)] == of_key, "each batch keeps its order"


def name_of(entry):
    return entry.dispatches[0].plan["order"]["key"]
