"""What every ledger promises of a rule that a person has paused."""

import asyncio

import pytest

from relay.errors import Conflict
from relay.ledger.queries import rule_pauses
from relay.model import ActName, Deed, HeldBy, State
from relay.slots import Offer
from tests.ledger.build import created, make_entry, waiting

MINUTE = 60_000


async def pause(*ledgers, rule="urgent"):
    await ledgers[0].pause_rule(rule, paused=True)
    for ledger in ledgers:
        await ledger.paused_rules()


async def resume(ledger, rule="urgent"):
    """Resume and let go, as a relay does; returns how many went."""
    await ledger.pause_rule(rule, paused=False)
    gone = 0
    while count := await ledger.let_go():
        gone += count
    await ledger.paused_rules()
    return gone


async def view_of(ledger, entry):
    [view] = (await ledger.event(entry.event.id)).dispatches
    return view


def ids(*entries):
    return [entry.dispatches[0].id for entry in entries]


async def claimed(ledger, limit=10):
    return [claim.dispatch.id for claim in await ledger.claim(limit)]


async def test_a_pause_is_kept_and_seen_by_every_replica(ledger, other):
    await ledger.pause_rule("urgent", paused=True, deed=Deed("kim", ActName.RULE_PAUSED, "urgent"))
    await ledger.pause_rule("urgent", paused=True)
    assert await other.paused_rules() == {"urgent"}
    await other.pause_rule("urgent", paused=False, deed=Deed("kim", ActName.RULE_RESUMED, "urgent"))
    assert await ledger.paused_rules() == frozenset()
    assert await ledger.let_go() == 0
    assert [act.act for act in (await ledger.acts(None, 9)).acts] == ["rule.resumed", "rule.paused"]


async def test_what_comes_in_is_held_until_the_rule_is_resumed_and_goes_in_order(ledger):
    await pause(ledger)
    entries = [make_entry() for _ in range(3)]
    handed = []
    await ledger.accept(entries, Offer(3, handed.extend, lambda: None))
    free = make_entry(rules=("other",))
    await ledger.accept([free])
    assert handed == []
    assert await claimed(ledger) == ids(free)
    view = await view_of(ledger, entries[0])
    assert (view.state, view.held.by, view.held.until, view.held.cause) == (State.HELD, HeldBy.PAUSE, None, None)
    assert await ledger.wake() is None
    assert await resume(ledger) == 3
    assert await claimed(ledger, 2) == ids(*entries[:2])
    assert await claimed(ledger) == ids(entries[2])


async def test_what_waited_when_the_pause_began_is_held_at_its_claim_and_what_had_begun_goes_on(ledger, clock):
    begun, ready = make_entry(), make_entry()
    await ledger.accept([begun])
    [claim] = await ledger.claim(1)
    await ledger.record(waiting(claim, MINUTE))
    await ledger.accept([ready])
    await pause(ledger)
    clock.now += MINUTE
    [again] = await ledger.claim(10)
    assert (again.dispatch.id, again.attempts) == (begun.dispatches[0].id, 2)
    assert (await view_of(ledger, ready)).held.by is HeldBy.PAUSE
    await ledger.record(created(again))
    assert await resume(ledger) == 1
    [claim] = await ledger.claim(10)
    assert (claim.dispatch.id, claim.attempt, claim.attempts) == (ready.dispatches[0].id, 1, 1)
    await ledger.record(created(claim))
    assert (await view_of(ledger, ready)).state is State.DONE


async def test_a_replica_that_hears_late_of_a_resume_holds_nothing_for_ever(ledger, other):
    await pause(ledger, other)
    await resume(ledger)
    entry = make_entry()
    await other.accept([entry])
    assert await claimed(other) == ids(entry), "it asks the ledger before it holds anything"


async def test_a_resume_that_is_cut_short_is_ended_by_another_replica(ledger, other, monkeypatch):
    monkeypatch.setattr(rule_pauses, "MOST", 2)
    await pause(ledger)
    entries = [make_entry() for _ in range(3)]
    await ledger.accept(entries)
    await ledger.pause_rule("urgent", paused=False)  # and its replica dies
    gone = 0
    while count := await other.let_go():
        gone += count
    assert gone == 3
    assert sorted(await claimed(other)) == sorted(ids(*entries))


async def test_a_pause_during_a_resume_holds_again(ledger):
    await pause(ledger)
    first = make_entry()
    await ledger.accept([first])
    await ledger.pause_rule("urgent", paused=False)
    await pause(ledger)
    assert await ledger.let_go() == 0
    assert await claimed(ledger) == []
    assert await resume(ledger) == 1


async def test_time_in_the_pause_counts_for_expires(ledger, clock):
    await pause(ledger)
    entry = make_entry(dispatch={"plan": {"expires": MINUTE}})
    await ledger.accept([entry])
    clock.now += MINUTE
    assert [dispatch.id for dispatch in await ledger.expire()] == ids(entry)
    assert await resume(ledger) == 0


async def test_a_held_one_can_be_cancelled_and_a_retry_does_not_go_past_the_pause(ledger):
    await pause(ledger)
    kept, gone = make_entry(), make_entry()
    await ledger.accept([kept, gone])
    with pytest.raises(Conflict, match=r"its rule urgent is paused: resume the rule"):
        await ledger.retry(kept.dispatches[0].id, None)
    await ledger.cancel(gone.dispatches[0].id)
    await ledger.retry(gone.dispatches[0].id, None)
    assert await claimed(ledger) == []
    view = await view_of(ledger, gone)
    assert (view.run, view.state, view.held.by) == (2, State.HELD, HeldBy.PAUSE)
    assert await resume(ledger) == 2
    assert sorted(await claimed(ledger)) == sorted(ids(kept, gone))


async def test_one_that_waits_for_another_key_is_paused_when_it_has_its_turn(ledger, clock):
    def ordered():
        return make_entry(dispatch={"plan": {"order": {"key": "ticket-1", "skip": None}}})

    first, second = ordered(), ordered()
    delayed = make_entry(dispatch={"plan": {"delay": {"for": MINUTE}}})
    await ledger.accept([first])
    [claim] = await ledger.claim(1)
    await pause(ledger)
    await ledger.accept([second, delayed])
    assert (await view_of(ledger, second)).held.by is HeldBy.ORDER
    assert (await view_of(ledger, delayed)).held.by is HeldBy.DELAY
    await ledger.record(created(claim))
    clock.now += MINUTE
    assert await claimed(ledger) == []
    assert {(await view_of(ledger, entry)).held.by for entry in (second, delayed)} == {HeldBy.PAUSE}
    await resume(ledger)
    assert sorted(await claimed(ledger)) == sorted(ids(second, delayed))


async def test_what_is_accepted_while_a_rule_is_paused_and_resumed_is_never_left_behind(replicas):
    """Two replicas: one accepts as fast as it can, the other pauses and resumes."""
    one, two = replicas
    entries = [make_entry() for _ in range(60)]

    async def accept():
        for entry in entries:
            await one.accept([entry])
            await one.paused_rules()

    async def toggle():
        for _ in range(15):
            await pause(two)
            await resume(two)

    await asyncio.gather(accept(), toggle())
    await resume(two)
    await one.paused_rules()
    assert sorted(await claimed(one, 100)) == sorted(ids(*entries))
