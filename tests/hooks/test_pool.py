"""Who gives way when there is not enough for all: never the one who holds least."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from relay.hooks.pool import Ease, Pool


@dataclass(eq=False)
class One:
    party: str
    ease: Ease = Ease.READING
    name: str = field(default="")


def fill(pool, *holders):
    for holder, amount in holders:
        pool.add(holder, amount)


def test_within_its_bound_nobody_gives_way():
    pool = Pool(3)
    assert [pool.add(One("a"), 1) for _ in range(4)] == [True, True, True, False]


def test_of_the_party_with_most_the_largest_gives_way():
    pool, small, large, mine = Pool(10), One("flood"), One("flood"), One("vendor")
    fill(pool, (small, 3), (large, 6), (mine, 2))
    assert pool.find(mine) is large


def test_the_flood_itself_gives_way_to_nobody_else_s_loss():
    pool, flood, vendor = Pool(10), [One("flood") for _ in range(9)], One("vendor")
    fill(pool, (vendor, 1), *((one, 1) for one in flood), (late := One("flood"), 1))
    assert pool.find(late) is None


def test_what_is_idle_goes_first_even_for_its_own_party():
    pool, idle, late = Pool(3), One("a", Ease.IDLE), One("a")
    fill(pool, (One("a"), 1), (One("a"), 1), (idle, 1), (late, 1))
    assert pool.find(late) is idle


def test_what_is_being_committed_never_gives_way():
    pool, late = Pool(3), One("b")
    fill(pool, (One("a", Ease.BUSY), 3), (late, 1))
    assert pool.find(late) is None


def test_equals_do_not_drive_each_other_out():
    pool, late = Pool(2), One("c")
    fill(pool, (One("a"), 1), (One("b"), 1), (late, 1))
    assert pool.find(late) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans())))
def test_what_is_held_is_what_the_holders_have(steps):
    pool, holders = Pool(20), []
    for party, amount, leaves in steps:
        if leaves and holders:
            gone, had = holders.pop()
            assert pool.leave(gone) == had
            assert pool.leave(gone) == 0
        else:
            pool.add(one := One(party), amount)
            holders.append((one, amount))
        assert pool.held == sum(amount for _, amount in holders)
