"""A part that offers slots knows when the ledger may hold leases that it does not work on."""

import asyncio

import pytest

from relay.life import Signal
from relay.slots import Slots
from tests.virtual import virtually


def make():
    signal = Signal()
    slots = Slots(signal)
    slots.closed = False
    return slots, signal


@virtually
async def test_what_is_handed_on_is_begun_and_the_slots_are_free_again():
    slots, signal = make()
    begun = []
    slots.offer(2, begun.extend).take(["a", "b"])
    assert (begun, slots.promised, slots.unsure, signal.is_set) == (["a", "b"], 0, False, False)


@virtually
async def test_a_part_is_woken_when_it_gets_less_than_it_has_slots_for():
    slots, signal = make()
    slots.offer(2, list).take(["a"])
    assert (slots.unsure, signal.is_set) == (False, True)


@virtually
async def test_what_comes_after_the_end_is_not_begun_but_given_back():
    slots, _ = make()
    begun = []
    offer = slots.offer(1, begun.extend)
    slots.closed = True
    offer.take(["a"])
    assert (begun, slots.unsure) == ([], True)


@virtually
async def test_a_write_that_failed_is_doubted_once_more_when_it_may_have_come_through():
    slots, signal = make()
    slots.offer(1, list).lose()
    assert (slots.promised, slots.unsure, signal.is_set) == (0, True, True)
    slots.unsure = False
    signal.clear()
    await asyncio.sleep(6)
    assert (slots.unsure, signal.is_set) == (True, True)
    slots.unsure = False
    await asyncio.sleep(60)
    assert not slots.unsure


@virtually
async def test_the_end_of_all_offers_is_waited_for():
    slots, _ = make()
    first, second = slots.offer(1, list), slots.offer(3, list)
    ending = asyncio.create_task(slots.end_offers())
    first.take(["a"])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(ending), 1)
    second.lose()
    await ending
    assert slots.promised == 0
