"""One chat per dispatch, told once per run, with one first message, whatever happens in whatever order."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.dispatch.cargo import POLICY
from tests.dispatch.machine import Machine
from tests.dispatch.relays import open_store

MUCH = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture
def store(loop):
    made = loop.run_until_complete(open_store())
    yield made
    loop.run_until_complete(made.aclose())


def test_the_promises_hold_in_whatever_order(loop, store):
    run_state_machine_as_test(lambda: Machine(loop, store), settings=MUCH)


def prove_absence_for_a_person(machine):
    machine.begin(0, ["plain"])
    machine.answer(0, "lost", None, None)
    machine.outlast(0, blind=True)
    machine.act_by_hand(0, parked=True, acts=("retry",), then=None)
    machine.outlast(0, blind=False)


def find_it_for_a_person(machine):
    machine.begin(0, ["plain"])
    machine.sleep(0, 0, 1, blind=True, acts=("retry",), sleeps_on=True)


def crash_without_a_stamp(machine):
    machine.begin(0, ["draft"])
    machine.die(0, 0, after=False)
    machine.outlast(1, blind=False)


def lose_the_stamp(machine):
    machine.begin(0, ["bare"])
    machine.answer(0, "lost", 0, None)
    machine.outlast(0, blind=False)


def answer_late(machine):
    machine.begin(0, ["draft"])
    machine.sleep(0, 0, 1, blind=False, acts=(), sleeps_on=False)


def answer_after_a_cancel_and_a_retry(machine):
    machine.begin(0, ["draft"])
    machine.sleep(0, 0, 1, blind=False, acts=("cancel", "retry"), sleeps_on=False)


def run_ahead(machine):
    machine.begin(300_000, ["plain"])
    machine.answer(0, "lost", 0, (1_000, 0))


def hear_a_message_late(machine):
    machine.begin(0, ["message"])
    machine.hear_late(POLICY.settle, "lost", POLICY.settle, 0)


def lose_a_message(machine):
    machine.begin(0, ["message"])
    machine.answer(0, "lost", None, (POLICY.settle, 0))


@pytest.mark.parametrize(
    ("bring_about", "situation"),
    [
        (prove_absence_for_a_person, "absence is proved in a run begun by hand"),
        (find_it_for_a_person, "a chat is found in a run begun by hand"),
        (crash_without_a_stamp, "a crash in a call that takes no stamp"),
        (lose_the_stamp, "a stamp that is not carried back"),
        (answer_late, "a chat that comes late"),
        (answer_after_a_cancel_and_a_retry, "a chat that comes late, of a run before"),
        (run_ahead, "a chat made by a clock that is ahead"),
        (hear_a_message_late, "a message is looked for and found"),
        (lose_a_message, "a message is looked for in vain"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_machine_can_come_to_what_it_is_for(loop, store, bring_about, situation):
    """By few steps, so that chance finds them; and they end well."""
    machine = Machine(loop, store)
    try:
        bring_about(machine)
        machine.the_promises_hold()
    finally:
        machine.teardown()
    assert machine.reached[situation]


@pytest.mark.parametrize("how", ["lost", "asleep", "restart"])
@pytest.mark.parametrize("late", [20_000, POLICY.settle])
@pytest.mark.parametrize("after", [1, 42_000])
def test_a_message_that_is_heard_late_is_not_said_again(loop, store, how, late, after):
    machine = Machine(loop, store)
    try:
        machine.begin(0, ["message"])
        machine.hear_late(late, how, after, 0)
        machine.the_promises_hold()
    finally:
        machine.teardown()
