"""What is deleted, and what stays however old it is."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from relay.ledger import SqlLedger, Terms
from relay.ledger.queries.prune import MOST, TurnSize, prune
from relay.ledger.schema import attempts, dispatches, events, outbox, results, seen, work
from relay.model import EventStatus, Failure, ParkReason, Settled, State, Verdict, tell
from tests.ledger.build import created, made_at, make_dispatch, make_entry, move

DAY = 86_400_000
TABLES = (events, dispatches, attempts, results, outbox, work)


async def keep(ledger, clock, external_id="", **rest):
    entry = made_at(clock.now, make_entry(external_id, **rest))
    await ledger.accept([entry])
    return entry


async def finish(ledger, clock, *, publish=True, **rest):
    """An event whose chat was made and, if `publish`, told."""
    entry = await keep(ledger, clock, **rest)
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    if publish:
        await ledger.settle(Settled(f"{claim.dispatch.id}.1", "", confirmed=True))
    return entry


async def sizes(ledger):
    def count(conn, _now):
        return {
            table.name: number
            for table in TABLES
            if (number := conn.execute(select(func.count()).select_from(table)).scalar_one())
        }

    return await ledger.read(count)


async def test_a_finished_event_goes_with_all_that_belongs_to_it(ledger, clock):
    await finish(ledger, clock)
    clock.now += 30 * DAY
    assert await ledger.prune() == 0, "to the day"
    clock.now += 1
    assert await ledger.prune() == 1
    assert await sizes(ledger) == {}


async def test_a_younger_neighbour_stays_whole(ledger, clock):
    await finish(ledger, clock)
    clock.now += 20 * DAY
    young = await finish(ledger, clock)
    clock.now += 20 * DAY
    assert await ledger.prune() == 1
    detail = await ledger.event(young.event.id)
    assert (len(detail.dispatches), len(detail.attempts), len(detail.results)) == (1, 1, 1)


@pytest.mark.parametrize(("days", "left"), [(3, ["crm", "shop"]), (20, ["crm"]), (40, [])])
async def test_a_source_may_have_a_time_of_its_own(ledger, store, clock, days, left):
    of = {"helpdesk": 2 * DAY, "crm": 35 * DAY, "unused": DAY}
    terms = replace(ledger.terms, retain=10 * DAY, retain_of=of)
    for source in ("helpdesk", "crm", "shop"):
        await finish(ledger, clock, source=source)
    clock.now += days * DAY
    while await store.write(lambda conn, now: prune(conn, now, terms=terms, size=TurnSize())):
        pass
    names = select(events.c.source).order_by(events.c.source)
    assert await store.read(lambda conn, _: list(conn.execute(names).scalars())) == left


async def test_what_is_live_stays(ledger, clock):
    await keep(ledger, clock)
    clock.now += 400 * DAY
    assert await ledger.prune() == 1, "its remembered id"
    assert await sizes(ledger) == {"events": 1, "dispatches": 1, "work": 1}


async def test_one_live_dispatch_keeps_the_event_and_its_others(ledger, clock):
    entry = await keep(ledger, clock, rules=("one", "two"))
    first, _ = await ledger.claim(2)
    await ledger.record(created(first))
    await ledger.settle(Settled(f"{first.dispatch.id}.1", "", confirmed=True))
    clock.now += 31 * DAY
    assert await ledger.prune() == 0
    assert len((await ledger.event(entry.event.id)).dispatches) == 2


async def test_what_is_parked_stays(ledger, clock):
    await keep(ledger, clock)
    [claim] = await ledger.claim(1)
    await ledger.record(move(claim, State.PARKED, verdict=Verdict.UNKNOWN, park=ParkReason.UNKNOWN))
    clock.now += 60 * DAY
    assert await ledger.prune() == 0
    assert (await ledger.gauges()).parked == {"unknown": 1}


async def test_what_is_not_told_yet_stays(ledger, clock):
    await finish(ledger, clock, publish=False)
    clock.now += 60 * DAY
    assert await ledger.prune() == 0
    [due] = await ledger.due(10)
    await ledger.settle(Settled(due.result.id, "", confirmed=True))
    assert await ledger.prune() == 1


async def test_an_old_event_whose_dispatch_ended_lately_stays(ledger, clock):
    await keep(ledger, clock)
    [claim] = await ledger.claim(1)
    failure = Failure("refused", "no", 400)
    await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=failure))
    clock.now += 29 * DAY
    await ledger.retry(claim.dispatch.id, None)
    [again] = await ledger.claim(1)
    await ledger.record(created(again))
    await ledger.settle(Settled(f"{claim.dispatch.id}.2", "", confirmed=True))
    clock.now += 2 * DAY
    assert await ledger.prune() == 0, "it finished two days ago"
    clock.now += 29 * DAY
    assert await ledger.prune() == 1


async def test_an_event_that_could_not_be_read_goes_like_a_finished_one(ledger, clock):
    entry = make_entry(rules=())
    unreadable = replace(entry.event, raw=b"\xff", data=None, unreadable="not JSON")
    await ledger.accept([made_at(clock.now, replace(entry, event=unreadable, status=EventStatus.UNREADABLE))])
    clock.now += 30 * DAY
    assert await ledger.prune() == 0
    clock.now += 1
    assert await ledger.prune() == 1


async def test_unmatched_events_have_a_time_of_their_own(ledger, clock):
    await keep(ledger, clock, rules=())
    clock.now += 7 * DAY
    assert await ledger.prune() == 0
    clock.now += 1
    assert await ledger.prune() == 1
    assert await sizes(ledger) == {}


async def test_of_unmatched_events_only_the_newest_are_kept(store, clock):
    ledger = SqlLedger(store, Terms(owner="one", max_unmatched=3))
    kept = []
    for _ in range(5):
        clock.now += 1
        kept.append((await keep(ledger, clock, rules=())).event.id)
    clock.now += 1
    matched = await finish(ledger, clock)
    assert await ledger.prune() == 2
    left = await ledger.read(lambda conn, _: list(conn.execute(select(events.c.id).order_by(events.c.id)).scalars()))
    assert left == [*kept[2:], matched.event.id]


@pytest.mark.parametrize("why", ["too old", "too many"])
async def test_an_unmatched_event_stays_until_its_caller_was_told(store, clock, why):
    ledger = SqlLedger(store, Terms(owner="one", max_unmatched=0 if why == "too many" else 10))
    entry = made_at(clock.now, make_entry(rules=(), reply_to="answers"))
    told = tell.unmatched(entry.event, (), now=1)
    await ledger.accept([replace(entry, results=(told,))])
    clock.now += 1 if why == "too many" else 8 * DAY
    assert await ledger.prune() == 0
    [due] = await ledger.due(10)
    assert due.result == told
    await ledger.settle(Settled(told.id, "answers", confirmed=True))
    assert await ledger.prune() == 1


async def test_a_repeat_of_a_pruned_event_is_still_a_duplicate_with_a_receipt(ledger, clock):
    entry = await finish(ledger, clock, external_id="a")
    clock.now += 31 * DAY
    assert await ledger.prune() == 1
    repeat = make_entry("a")
    for receipts in (await ledger.accept([repeat]), await ledger.known([repeat])):
        [receipt] = receipts
        assert (receipt.id, receipt.status, receipt.dispatches) == (entry.event.id, EventStatus.DUPLICATE, ())
    assert await ledger.claim(10) == []


async def test_a_remembered_id_goes_when_it_has_expired(ledger, clock):
    await finish(ledger, clock, external_id="a")
    clock.now += 31 * DAY
    await ledger.prune()
    clock.now += 59 * DAY
    assert await ledger.prune() == 1
    left = await ledger.read(lambda conn, _: conn.execute(select(func.count()).select_from(seen)).scalar_one())
    assert left == 0
    [receipt] = await ledger.accept([make_entry("a")])
    assert receipt.status is EventStatus.ACCEPTED


async def test_much_goes_in_turns_that_keep_no_writer_waiting_long(ledger, clock):
    rules = [f"r{number}" for number in range(30)]
    entries = [made_at(clock.now, make_entry(rules=())) for _ in range(MOST + 20)]
    wide = [
        replace(
            entry,
            status=EventStatus.ACCEPTED,
            dispatches=tuple(
                replace(make_dispatch(entry.event, rule), state=State.FAILED, failure=Failure("render", "no"))
                for rule in rules
            ),
        )
        for entry in entries
    ]
    for start in range(0, len(wide), 130):
        await ledger.accept(wide[start : start + 130])
    clock.now += 31 * DAY
    assert [await ledger.prune() for _ in range(3)] == [MOST, 20, 0]
    assert await sizes(ledger) == {}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_turns_are_smaller_on_a_slow_disk_and_large_again_on_a_quick_one(ledger, clock, monkeypatch):
    monkeypatch.setattr("relay.ledger.queries.prune._LONG", 0.0)
    for _ in range(3):
        await ledger.accept([made_at(clock.now, make_entry(rules=())) for _ in range(100)])
    clock.now += 31 * DAY
    await ledger.prune()
    assert ledger.prune_size.rows == MOST // 2
    while await ledger.prune():
        pass
    assert await sizes(ledger) == {}
    slow = ledger.prune_size.rows
    assert 0 < slow < MOST // 2
    monkeypatch.setattr("relay.ledger.queries.prune._LONG", 3600.0)
    await ledger.prune()
    assert ledger.prune_size.rows == 2 * slow


async def test_leases_and_grants_of_replicas_long_gone_are_deleted(ledger, other, clock):
    await other.lease("scanner", 10_000)
    await other.reserve(5)
    clock.now += 2 * 3_600_000
    await ledger.prune()
    clock.now -= 2 * 3_600_000
    assert await ledger.lease("scanner", 10_000), "even by a clock that was set back: the row is gone"


async def test_large_bodies_go_in_turns_of_their_own(ledger, clock, monkeypatch):
    """A database touches each page of what it frees: a turn is bounded by bytes, too, and does not hold the loop."""
    monkeypatch.setattr("relay.ledger.queries.prune.SPACE", 1 << 20)
    for size in (400_000, 400_000, 5 << 20, 100, 100):
        await finish(ledger, clock, body={"text": "x" * size})
        clock.now += 1
    clock.now += 31 * DAY
    assert [await ledger.prune() for _ in range(5)] == [1, 1, 1, 2, 0], "with its text and its dispatch, 0.4 MB are 1.2"
    assert await sizes(ledger) == {}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_a_turn_runs_beside_the_event_loop(ledger, monkeypatch):
    ran = []
    monkeypatch.setattr(
        "relay.ledger.queries.prune.prune", lambda *_, **__: ran.append(threading.current_thread().name) or 0
    )
    await ledger.prune()
    assert ran == ["ledger-writer_0"]


async def park(ledger, clock, **rest):
    entry = await keep(ledger, clock, **rest)
    [claim] = await ledger.claim(1)
    await ledger.record(move(claim, State.PARKED, verdict=Verdict.UNKNOWN, park=ParkReason.UNKNOWN))
    return entry


async def turns_of(ledger):
    """What each turn of one row deletes until there is nothing to be looked at any more."""
    turns = []
    while not turns or ledger.prunes_on:
        ledger.prune_size.rows = 1
        turns.append(await ledger.prune())
    return turns


async def test_a_turn_looks_at_a_bounded_number_of_events_that_stay(ledger, clock):
    """On SQLite accepts wait for a turn: one that looked at all that stays would take seconds with a million."""
    parked = [await park(ledger, clock) for _ in range(9)]
    await finish(ledger, clock)
    clock.now += 36 * DAY
    turns = await turns_of(ledger)
    assert (len(turns), sum(turns)) == (4, 1), "four are looked at in each, and the one that went in a turn of its own"
    assert (await sizes(ledger))["events"] == 9
    await ledger.cancel(parked[0].dispatches[0].id)
    for due in await ledger.due(20):
        await ledger.settle(Settled(due.result.id, "", confirmed=True))
    clock.now += 40 * DAY
    assert sum(await turns_of(ledger)) == 1, "what stayed is looked at again, an hour later"


async def test_many_events_of_a_source_that_retains_longer_are_passed_by(ledger, clock):
    ledger.terms = replace(ledger.terms, retain_of={"long": 400 * DAY})
    for _ in range(9):
        await finish(ledger, clock, source="long")
    await finish(ledger, clock)
    clock.now += 36 * DAY
    turns = await turns_of(ledger)
    assert (len(turns), sum(turns)) == (4, 1)
