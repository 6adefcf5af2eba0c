"""Group commit: how asks share a transaction, and what one of them can do to the others."""

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError

from relay.errors import Conflict, Overloaded, Refused, Unavailable
from relay.ledger.engine.commit import Bound, Committer, Lane


class Memory:
    """A store of lists: a transaction adds to `kept` at its end or not at all."""

    timeout = None

    def __init__(self, *, shares):
        self.shares = shares
        self.kept = []
        self.transactions = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, work, *, slow=False):
        await self.gate.wait()
        pending = []
        answer = work(pending, 0)
        self.kept += pending
        self.transactions += 1
        return answer


def keep(pending, _, items):
    """Answer each number with its square; what is no number is refused as a database would."""
    for item in items:
        if item == "poison":
            raise IntegrityError("INSERT", {}, ValueError())
        if item == "away":
            raise Unavailable("gone")
        if item == "conflict":
            raise Conflict("not now")
        if item == "bug":
            raise KeyError("oops")
        pending.append(item)
    return [item * item for item in items]


@pytest.fixture(params=[True, False], ids=["one transaction", "one per lane"])
def store(request):
    return Memory(shares=request.param)


@pytest.fixture
def lane():
    return Lane(keep, most=64)


async def submit_all(committer, lane, items):
    return await asyncio.gather(*(committer.submit(lane, item) for item in items), return_exceptions=True)


async def test_what_is_asked_for_during_a_commit_shares_the_next(store, lane):
    committer = Committer(store, [lane])
    store.gate.clear()
    first = committer.submit(lane, 1)
    await asyncio.sleep(0)
    rest = [committer.submit(lane, number) for number in range(2, 50)]
    store.gate.set()
    assert [await first, *await asyncio.gather(*rest)] == [number * number for number in range(1, 50)]
    assert store.transactions == 2


async def test_lanes_share_a_transaction_only_where_one_writes_at_a_time(store, lane):
    other = Lane(keep)
    committer = Committer(store, [lane, other])
    answers = await asyncio.gather(committer.submit(lane, 2), committer.submit(other, 3))
    assert answers == [4, 9]
    assert store.transactions == (1 if store.shares else 2)


async def test_a_batch_has_a_bound(store, lane):
    committer = Committer(store, [lane])
    await submit_all(committer, lane, range(130))
    assert store.transactions == 3


@pytest.mark.parametrize(("bad", "error"), [("poison", Refused), ("conflict", Conflict), ("bug", KeyError)])
@pytest.mark.parametrize("place", [0, 31, 63])
async def test_one_bad_item_fails_alone_and_nothing_is_kept_twice(store, lane, bad, error, place):
    other = Lane(keep)
    committer = Committer(store, [other, lane])
    items = list(range(64))
    items[place] = bad
    companion = committer.submit(other, 100)
    answers = await submit_all(committer, lane, items)
    assert isinstance(answers[place], error)
    assert await companion == 10_000
    good = [item for item in items if item != bad]
    assert [answer for answer in answers if not isinstance(answer, Exception)] == [item * item for item in good]
    assert sorted(store.kept) == [*good, 100]


async def test_when_the_database_is_away_all_are_told_and_the_next_ask_tries_again(store, lane):
    committer = Committer(store, [lane])
    answers = await submit_all(committer, lane, [1, "away", 3])
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert len({id(answer) for answer in answers}) == 3, "each caller has an error of its own"
    assert store.kept == []
    assert await committer.submit(lane, 4) == 16


async def test_a_caller_that_leaves_takes_nothing_out(store, lane):
    committer = Committer(store, [lane])
    store.gate.clear()
    leaving = asyncio.ensure_future(committer.submit(lane, 1))
    staying = committer.submit(lane, 2)
    await asyncio.sleep(0)
    leaving.cancel()
    store.gate.set()
    assert await staying == 4
    assert store.kept == [1, 2]


async def test_a_single_operation_is_carried_through_when_its_caller_leaves(store, lane):
    committer = Committer(store, [lane])
    store.gate.clear()
    leaving = asyncio.create_task(committer.alone(lambda pending, _: pending.append(7)))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    store.gate.set()
    await committer.aclose()
    assert store.kept == [7]


async def test_closing_commits_what_waits_and_takes_no_more(store, lane):
    committer = Committer(store, [lane])
    asked = [committer.submit(lane, number) for number in range(100)]
    await committer.aclose()
    assert len(await asyncio.gather(*asked)) == 100
    with pytest.raises(Unavailable):
        committer.submit(lane, 1)


async def test_what_can_wait_goes_with_the_turn_that_others_need(lane):
    store = Memory(shares=True)
    patient = Lane(keep, patience=3_600.0)
    committer = Committer(store, [lane, patient])
    waiting = committer.submit(patient, 2)
    await asyncio.sleep(0)
    assert (store.transactions, waiting.done()) == (0, False)
    assert await committer.submit(lane, 3) == 9
    assert (await waiting, store.transactions) == (4, 1)


async def test_patience_ends_and_what_came_meanwhile_shares_its_turn(store):
    patient = Lane(keep, patience=0.005)
    committer = Committer(store, [patient])
    assert await submit_all(committer, patient, [1, 2, 3]) == [1, 4, 9]
    assert await committer.submit(patient, 4) == 16
    assert (store.kept, store.transactions) == ([1, 2, 3, 4], 2)


async def test_closing_commits_also_what_could_wait(store):
    patient = Lane(keep, patience=3_600.0)
    committer = Committer(store, [patient])
    waiting = committer.submit(patient, 2)
    await committer.aclose()
    assert (await waiting, store.kept) == (4, [2])


@pytest.fixture
def bounded():
    return Lane(keep, most=2, bound=Bound(items=3, space=100, weigh=lambda item: item))


async def test_a_full_lane_says_no_at_once_and_loses_nothing_that_it_took(store, bounded):
    committer = Committer(store, [bounded])
    store.gate.clear()
    taken = [committer.submit(bounded, number) for number in (1, 2, 3)]
    for _ in range(2):
        with pytest.raises(Overloaded, match="too much waits") as caught:
            committer.submit(bounded, 4)
        assert caught.value.retry_after > 0
    store.gate.set()
    assert await asyncio.gather(*taken) == [1, 4, 9]
    assert await committer.submit(bounded, 4) == 16
    assert sorted(store.kept) == [1, 2, 3, 4]
    assert bounded.size == 0


async def test_what_is_under_way_counts_until_it_is_committed(store, bounded):
    committer = Committer(store, [bounded])
    store.gate.clear()
    first = committer.submit(bounded, 90)
    await asyncio.sleep(0)
    assert not bounded.waiting, "it is under way"
    second = committer.submit(bounded, 10)
    with pytest.raises(Overloaded):
        committer.submit(bounded, 1)
    store.gate.set()
    await asyncio.gather(first, second)
    assert await committer.submit(bounded, 1_000) == 1_000_000, "whatever its size, when there is no other"


async def test_what_failed_makes_room_again(store, bounded):
    committer = Committer(store, [bounded])
    bounded.bound = Bound(items=3, space=100, weigh=len)
    for _ in range(5):
        assert isinstance((await submit_all(committer, bounded, ["poison"]))[0], Refused)
        assert isinstance((await submit_all(committer, bounded, ["away"]))[0], Unavailable)
    assert bounded.size == 0


async def test_in_a_lane_with_a_bound_nobody_waits_longer_than_the_store_may_take(store, bounded, lane):
    """Whoever was refused brings it again; an outcome is known only here, and is kept whenever that is."""
    store.timeout = 0.01
    committer = Committer(store, [bounded, lane])
    store.gate.clear()
    begun = committer.submit(bounded, 1)
    await asyncio.sleep(0)
    asked = [committer.submit(bounded, 2), committer.submit(bounded, 3)]
    outcome = committer.submit(lane, 10)
    for future in (begun, *asked):
        with pytest.raises(Unavailable, match=r"did not commit within 0\.01 s"):
            await future
    assert not outcome.done()
    store.timeout = 60.0
    again = committer.submit(bounded, 4)
    store.gate.set()
    assert [await again, await outcome] == [16, 100]
    await committer.aclose()
    assert sorted(store.kept) == [1, 4, 10], "what was begun could be kept, what waited was not begun"
    assert bounded.size == 0


async def test_a_caller_that_only_stops_waiting_takes_nothing_back(store, bounded):
    committer = Committer(store, [bounded])
    store.gate.clear()
    asked = [committer.submit(bounded, number) for number in (1, 2, 3)]
    for future in asked:
        future.cancel()
    store.gate.set()
    await committer.aclose()
    assert sorted(store.kept) == [1, 2, 3]
    assert bounded.size == 0
