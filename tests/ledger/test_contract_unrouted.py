"""What an exchange does not take is one problem until it takes it, or nothing waits for it: no silence ends it."""

from dataclasses import replace

from relay.ledger.queries import looks
from relay.model import UNROUTABLE, ProblemKey, ProblemKind, Settled, Sighting, Sightings, Watched
from tests.ledger.build import created, make_entry

WATCHED = Watched({}, None, running=0, untold=True)
OWN, COMMON = (ProblemKey(ProblemKind.BROKER, code=UNROUTABLE, detail=detail) for detail in ("crm", None))
HOUR = 3_600_000


async def tell(ledger, exchange):
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    made = created(claim)
    [result] = made.results
    await ledger.record(replace(made, results=(replace(result, exchange=exchange),)))
    return result.id


async def fail(ledger, error=f"{UNROUTABLE}: no queue is bound"):
    """Try what is due, in vain."""
    tried = [due for due in await ledger.due(10) if due.result.dispatch_id]
    for due in tried:
        await ledger.settle(Settled(due.result.id, "", confirmed=False, retry_in=1_000, error=error))
    return len(tried)


async def turn(ledger, **rest):
    turned = await ledger.watch(Sightings(**rest), WATCHED)
    return {problem.key for problem in turned.unresolved}


async def test_what_is_not_tried_while_the_broker_is_away_stays_a_problem(ledger, clock):
    await tell(ledger, None)
    assert await fail(ledger) == 1
    assert await turn(ledger, seen=(Sighting(COMMON),)) == {COMMON}
    clock.now += HOUR
    assert await turn(ledger) == {COMMON}
    assert await fail(ledger, "connection refused") == 1
    assert await turn(ledger) == {COMMON}


async def test_it_is_over_when_none_waits_for_that_exchange_any_more(ledger, clock):
    results = {exchange: await tell(ledger, exchange) for exchange in ("crm", None)}
    assert await fail(ledger) == 2
    both = await turn(ledger, seen=(Sighting(OWN), Sighting(COMMON)))
    assert both == {OWN, COMMON}
    clock.now += HOUR
    await ledger.settle(Settled(results["crm"], "", confirmed=True))
    assert await turn(ledger) == {COMMON}
    await ledger.settle(Settled(results[None], "", confirmed=True))
    await tell(ledger, None)
    assert await turn(ledger) == set(), "what was never tried is not known to be unroutable"


async def test_a_result_that_is_taken_ends_nothing_while_another_one_waits_for_that_exchange(ledger, other, clock):
    """With another routing key, at another replica: it would be told as over, and open again with its next try."""
    taken, waits = await tell(ledger, "crm"), await tell(ledger, "crm")
    assert await fail(ledger) == 2
    await turn(ledger, seen=(Sighting(OWN),))
    clock.now += HOUR
    await ledger.settle(Settled(taken, "", confirmed=True))
    assert await turn(other) == {OWN}
    await other.settle(Settled(waits, "", confirmed=True))
    assert await turn(other) == set()


async def test_where_too_many_wait_to_look_through_them_it_goes_on(ledger, clock, monkeypatch):
    monkeypatch.setattr(looks, "_MANY", 1)
    result_id = await tell(ledger, None)
    await fail(ledger)
    await turn(ledger, seen=(Sighting(OWN),))
    clock.now += HOUR
    assert await turn(ledger) == {OWN}
    await ledger.settle(Settled(result_id, "", confirmed=True))
    assert await turn(ledger) == set()


async def test_what_was_just_counted_may_wait_for_its_settlement(ledger, clock):
    await tell(ledger, None)
    assert await turn(ledger, seen=(Sighting(COMMON),)) == {COMMON}
    clock.now += 9_000
    assert await turn(ledger) == {COMMON}
    assert await fail(ledger) == 1
    clock.now += HOUR
    assert await turn(ledger) == {COMMON}
