"""Past the high-water mark: nothing new is taken, what is known is answered, and the ledger is not asked each time."""

import asyncio

import pytest

from relay.errors import Overloaded
from relay.intake import Intake
from relay.ledger import SqlLedger, Terms
from relay.life import Signals
from relay.model import EventStatus, State, new_id
from relay.rules import RuleSpec, compile_rules
from relay.telemetry import Metrics
from tests.ledger.build import make_event, move


class Counted(SqlLedger):
    """A ledger that counts how often places were asked for."""

    asked = 0

    async def reserve(self, slots):
        self.asked += 1
        return await super().reserve(slots)


@pytest.fixture
async def ledger(store):
    made = Counted(store, Terms(owner="one", lease=40_000, high_water=3))
    yield made
    await made.aclose()


@pytest.fixture
def intake(ledger, clock):
    rules = compile_rules([RuleSpec(name="urgent", chat={"trigger": {"type": "draft"}})], {})
    quiet = {"metrics": Metrics(), "signals": Signals(), "boottime": clock}
    return Intake(ledger, rules, high_water=3, ids=new_id, clock=clock, **quiet)


async def test_what_is_new_is_refused_and_what_is_known_is_not(intake):
    known = [make_event(name) for name in "abc"]
    for event in known:
        await intake.accept([event])
    with pytest.raises(Overloaded):
        await intake.accept([make_event("d")])
    for event in known:
        [receipt] = await intake.accept([event])
        assert receipt.status is EventStatus.DUPLICATE


async def test_a_flood_past_the_mark_asks_the_ledger_for_places_twice_a_second(intake, ledger, clock):
    for name in "abc":
        await intake.accept([make_event(name)])
    before = ledger.asked
    answers = await asyncio.gather(*(intake.accept([make_event()]) for _ in range(50)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Overloaded}
    assert ledger.asked == before + 1
    clock.now += 500
    for _ in range(3):
        with pytest.raises(Overloaded):
            await intake.accept([make_event()])
    assert ledger.asked == before + 2


async def test_places_that_came_free_are_given_again(intake, ledger, clock):
    for name in "abc":
        await intake.accept([make_event(name)])
    with pytest.raises(Overloaded):
        await intake.accept([make_event("d")])
    [claim, *_] = await ledger.claim(3)
    await ledger.record(move(claim, State.FAILED))
    clock.now += 500
    [receipt] = await intake.accept([make_event("d")])
    assert receipt.status is EventStatus.ACCEPTED
    with pytest.raises(Overloaded):
        await intake.accept([make_event("e")])


async def test_a_large_delivery_that_finds_no_room_leaves_it_to_small_ones(intake):
    with pytest.raises(Overloaded):
        await intake.accept([make_event() for _ in range(4)])
    for _ in range(3):
        await intake.accept([make_event()])


async def test_it_is_ready_while_there_is_a_place_and_asking_takes_none(intake, ledger, clock):
    for name in "abc":
        for _ in range(5):
            await intake.ready()
        await intake.accept([make_event(name)])
    with pytest.raises(Overloaded):
        await intake.ready()
    [claim, *_] = await ledger.claim(3)
    await ledger.record(move(claim, State.FAILED))
    clock.now += 500
    await intake.ready()
    await intake.accept([make_event("d")])
