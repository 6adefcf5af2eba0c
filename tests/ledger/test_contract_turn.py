"""`priority` and `expires`: who goes first at a claim, and who has waited too long."""

import random

import pytest

from relay.errors import Conflict
from relay.model import State
from tests.ledger.build import created, make_entry, waiting

MINUTE = 60_000


def entry(rule, **plan):
    return make_entry(rules=(rule,), dispatch={"plan": plan or None})


async def rules_claimed(ledger, limit=100):
    return [claim.dispatch.rule for claim in await ledger.claim(limit)]


async def test_a_claim_takes_the_highest_priority_first(ledger):
    names = [f"p{priority}" for priority in range(10)]
    for name in random.Random(1).sample(names, 10):
        await ledger.accept([entry(name, priority=int(name[1]))])
    claimed = [(await rules_claimed(ledger, 1))[0] for _ in names]
    assert claimed == names[::-1]


async def test_a_minute_of_waiting_counts_as_one_step(ledger, clock):
    await ledger.accept([entry("low", priority=3)])
    clock.now += 2 * MINUTE + 1
    await ledger.accept([entry("default")])
    await ledger.accept([entry("high", priority=6)])
    assert [(await rules_claimed(ledger, 1))[0] for _ in range(3)] == ["high", "low", "default"]


async def test_a_retry_by_hand_keeps_its_priority_and_waits_anew(ledger, clock):
    await ledger.accept([entry("urgent", priority=9, expires=MINUTE)])
    clock.now += MINUTE
    [expired] = await ledger.expire()
    await ledger.accept([entry("other")])
    clock.now += 1
    await ledger.retry(expired.id, None)
    assert await ledger.expire() == []
    assert await rules_claimed(ledger, 1) == ["urgent"]


@pytest.mark.parametrize("by", ["a claim", "the reconciler"])
async def test_what_waited_too_long_is_told_and_never_sent(ledger, clock, by):
    await ledger.accept([entry("late", expires=MINUTE), entry("patient")])
    clock.now += MINUTE - 1
    assert await ledger.expire() == []
    clock.now += 1
    if by == "a claim":
        assert await rules_claimed(ledger) == ["patient"]
        [expired] = [each.dispatch for each in await ledger.withheld() if each.to is State.EXPIRED]
    else:
        [expired] = await ledger.expire()
    assert (expired.rule, await ledger.expire()) == ("late", [])
    [due] = await ledger.due(10)
    assert (due.result.dispatch_id, due.result.data["error"]["code"]) == (expired.id, "expired")
    assert "by" not in due.result.data
    [view] = (await ledger.event(expired.id)).dispatches
    assert view.state is State.EXPIRED
    with pytest.raises(Conflict, match="has ended as expired"):
        await ledger.cancel(expired.id)


async def test_time_in_a_pause_counts(ledger, clock):
    await ledger.accept([entry("late", expires=MINUTE)])
    await ledger.pause("circuit")
    clock.now += MINUTE
    assert len(await ledger.expire()) == 1


async def test_once_its_first_call_has_begun_a_dispatch_does_not_expire(ledger, clock):
    await ledger.accept([entry("begun", expires=MINUTE)])
    [claim] = await ledger.claim(1)
    await ledger.record(waiting(claim, 2 * MINUTE))
    clock.now += 2 * MINUTE
    assert await ledger.expire() == []
    [again] = await ledger.claim(1)
    await ledger.record(created(again))


async def test_a_claim_that_is_given_back_unbegun_may_expire(ledger, clock):
    await ledger.accept([entry("unbegun", expires=MINUTE)])
    await ledger.claim(1)
    clock.now += MINUTE
    assert await ledger.expire() == [], "a replica works on it"
    await ledger.give_back(())
    assert [dispatch.rule for dispatch in await ledger.expire()] == ["unbegun"]


async def test_those_that_are_too_late_hold_up_nothing_behind_them(ledger, clock):
    """A claim ends as many as it would have taken, so none of them is passed over again and again."""
    await ledger.accept([entry("late", expires=MINUTE) for _ in range(5)])
    clock.now += MINUTE
    await ledger.accept([entry("fresh")])
    ended, gone = 0, []
    for _ in range(3):
        gone += await rules_claimed(ledger, 2)
        ended += len(await ledger.withheld())
    assert (ended, gone) == (5, ["fresh"])
