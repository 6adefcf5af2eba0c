"""A backlog of one source does not starve another: what waits takes turns between sources."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.ledger.queries.fair import Turns
from tests.ledger.build import created, make_entry

MINUTE = 60_000
HOUR = 60 * MINUTE


async def come(ledger, source, count=1, priority=5):
    await ledger.accept([make_entry(source=source, dispatch={"plan": {"priority": priority}}) for _ in range(count)])


async def serve(ledger, places):
    """The sources of the dispatches that go with so many free places, each of which is done at once."""
    claims = await ledger.claim(places)
    for claim in claims:
        await ledger.record(created(claim))
    return [claim.dispatch.source for claim in claims]


@pytest.mark.parametrize("places", [1, 4])
async def test_a_quiet_source_does_not_wait_for_a_flood_that_came_before(ledger, clock, places):
    await come(ledger, "flood", 60)
    assert await serve(ledger, places) == ["flood"] * places
    clock.now += HOUR
    await come(ledger, "quiet")
    assert "quiet" in [*await serve(ledger, places), *await serve(ledger, places)]


@pytest.mark.parametrize("places", [1, 5])
async def test_floods_share_evenly(ledger, clock, places):
    for source in ("one", "two", "three"):
        await come(ledger, source, 40)
        clock.now += HOUR
    gone = [source for _ in range(60 // places) for source in await serve(ledger, places)]
    counts = Counter(gone[places:])  # the first claim does not know of a backlog yet
    assert set(counts) == {"one", "two", "three"}
    assert max(counts.values()) - min(counts.values()) <= places + 1


async def test_nothing_is_left_when_all_have_had_their_turns(ledger):
    for source, count in (("a", 7), ("b", 1), ("c", 12)):
        await come(ledger, source, count)
    gone = []
    while going := await serve(ledger, 3):
        gone += going
    assert Counter(gone) == {"a": 7, "b": 1, "c": 12}


async def test_a_higher_priority_goes_first_whatever_its_source(ledger):
    await come(ledger, "calm", 3, priority=1)
    await come(ledger, "loud", 12, priority=8)
    gone = [source for _ in range(15) for source in await serve(ledger, 1)]
    assert gone == ["loud"] * 12 + ["calm"] * 3


async def test_what_waited_long_enough_goes_before_a_higher_priority(ledger, clock):
    await come(ledger, "calm", 1, priority=1)
    clock.now += 7 * MINUTE
    await come(ledger, "loud", 12, priority=8)
    assert "calm" in [source for _ in range(3) for source in await serve(ledger, 1)]


rows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, HOUR)), max_size=12)


@given(backlog=st.dictionaries(st.sampled_from("abcd"), rows, min_size=1), most=st.integers(1, 30))
def test_all_places_are_given_as_long_as_there_is_work(backlog, most):
    heads = {source: [{"priority": p, "due_at": at} for p, at in each] for source, each in backlog.items() if each}
    shares = Turns().divide(heads, most, HOUR)
    assert sum(shares.values()) == min(most, sum(map(len, heads.values())))
    assert all(0 < share <= len(heads[source]) for source, share in shares.items())


@given(places=st.lists(st.integers(1, 7), min_size=1, max_size=40), sources=st.integers(2, 5))
def test_equal_sources_have_equal_shares_however_many_places_come_free_at_once(places, sources):
    turns, gone = Turns(), Counter()
    heads = {str(number): [{"priority": 5, "due_at": number * MINUTE}] * 400 for number in range(sources)}
    for most in places:
        gone.update(turns.divide(heads, most, HOUR))
    counts = [gone[source] for source in heads]
    assert max(counts) - min(counts) <= 1
