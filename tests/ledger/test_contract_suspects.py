"""What every ledger promises of messages that may end the process: only deaths are counted, by whoever comes next."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from relay.ledger import SqlLedger
from relay.ledger.queries.suspects import LIFETIME
from relay.ledger.schema import suspects

KEY, OTHER = b"k" * 32, b"o" * 32


async def count(store):
    return await store.read(lambda conn, _: conn.execute(select(func.count()).select_from(suspects)).scalar_one())


@pytest.fixture
def born(store, ledger):
    """A process that is started again after one that died: another owner on the same ledger."""
    return lambda number: SqlLedger(store, replace(ledger.terms, owner=f"run {number}"))


async def test_each_run_that_never_ended_is_a_death(born):
    assert [await born(number).begin(KEY) for number in range(6)] == [0, 1, 2, 3, 4, 5]
    assert await born(6).begin(OTHER) == 0, "each message has a count of its own"


async def test_one_that_lives_does_not_count_against_itself(ledger):
    assert [await ledger.begin(KEY) for _ in range(3)] == [0, 0, 0]


async def test_an_orderly_end_counts_as_no_death(born):
    for number in range(6):
        run = born(number)
        assert await run.begin(KEY) == 0
        await run.end(KEY, settled=False)


async def test_deaths_are_kept_through_an_orderly_end(born):
    await born(0).begin(KEY)
    second = born(1)
    assert await second.begin(KEY) == 1
    await second.end(KEY, settled=False)
    assert await born(2).begin(KEY) == 1
    assert await born(3).begin(KEY) == 2


async def test_what_is_settled_is_forgotten_by_whoever_read_it_last(store, born):
    await born(0).begin(KEY)
    second = born(1)
    await second.begin(KEY)
    await born(2).end(KEY, settled=True)
    assert await count(store) == 1, "another may not end what this one reads"
    await second.end(KEY, settled=True)
    assert await count(store) == 0
    assert await born(2).begin(KEY) == 0


async def test_nothing_is_left_of_what_ended_well(store, ledger):
    await ledger.begin(KEY)
    await ledger.end(KEY, settled=False)
    assert await count(store) == 0


async def test_what_came_no_more_is_forgotten_after_seven_days(store, ledger, clock):
    await ledger.begin(KEY)
    clock.now += LIFETIME
    await ledger.begin(OTHER)
    await ledger.prune()
    assert await count(store) == 2
    clock.now += 1
    await ledger.prune()
    assert await count(store) == 1


async def test_two_at_once_count_each_other_once(replicas):
    one, two = replicas
    assert sorted(await asyncio.gather(one.begin(KEY), two.begin(KEY))) == [0, 1]
