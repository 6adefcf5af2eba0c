"""Presence is proof at once, absence only from complete scans of all the time in which the chat may say it was made."""

import json
from itertools import count

import pytest

from relay.dispatch import Gate, Policy, Reconciler
from relay.dispatch.scan import SKEW, SLICE
from relay.errors import Unknown
from relay.model import About, Chat, Claim, Dispatch, Doubt, Page, Recorded, State
from relay.telemetry import Metrics

POLICY = Policy(timeout=30_000, first=1_000, cap=60_000, give_up_after=600_000, settle=60_000, random=lambda: 0.5)
NOW = 1_800_000_000_000
BEGAN = NOW - 100_000
ENDED_AGO = 70_000
numbers = count(1)


class Work:
    """Hands out doubts, keeps the moves that follow."""

    def __init__(self, *doubts):
        self.waiting = doubts
        self.moves = []

    async def sweep(self):
        return 0

    async def lease(self, name, ttl):
        return True

    async def pace(self, calls):
        return 0

    async def doubts(self, limit):
        return self.waiting

    async def record(self, move):
        self.moves.append(move)
        return Recorded.APPLIED


class Cargo:
    """A list of chats, two rows a page; `between(asked)` may change it after each page, counted from 1."""

    def __init__(self, *chats, order=lambda chat: chat.created_at, between=lambda cargo, asked: None):
        self.rows = list(chats)
        self.order = order
        self.between = between
        self.asked = 0

    async def chats(self, trigger_type, after, before, offset):
        rows = sorted((row for row in self.rows if after <= row.created_at <= before), key=self.order)
        self.asked += 1
        self.between(self, self.asked)
        return Page(tuple(rows[offset : offset + 2]), len(rows[offset : offset + 2]))


def make_chat(created_at, stamp=None, **rest):
    return Chat(f"chat-{next(numbers)}", created_at, stamp=stamp and (stamp, 1), trigger_type="connector", **rest)


def make_doubt(dispatch_id="d-1", *, attempts=1, doubt=False, ended_ago=ENDED_AGO, body=None, **rest):
    trigger = {"type": rest.get("trigger_type", "connector"), **(body or {})}
    dispatch = Dispatch(dispatch_id, "e-1", "helpdesk", "urgent", json.dumps({"trigger": trigger}), **rest)
    about = About("e-1", "helpdesk", "x-1", "ticket", None, None, None, BEGAN)
    claim = Claim(
        dispatch, State.CHECKING, 3, lease=0, attempt=1, attempts=attempts, waited=1_000, about=about, doubt=doubt
    )
    return Doubt(claim, NOW, first_attempt_at=BEGAN, ended_ago=ended_ago, looks=3)


async def look(cargo, *doubts, clock=NOW):
    """The moves of one round."""
    work = Work(*doubts)
    gate = Gate(work, cargo, POLICY, sleep=None, opened=lambda: None)
    quiet = {"metrics": Metrics(), "told": lambda: None, "freed": lambda: None}
    await Reconciler(work, cargo, gate, POLICY, clock=lambda: clock, sleep=None, **quiet).turn()
    return work.moves


async def test_a_chat_is_adopted_as_soon_as_it_is_seen():
    mine = make_chat(BEGAN, "d-1")
    [move] = await look(Cargo(mine), make_doubt(ended_ago=0))
    assert (move.to, move.chat, move.reconciled) == (State.DONE, mine, True)


@pytest.mark.parametrize("ended_ago", [0, POLICY.settle - 1])
async def test_before_it_has_settled_absence_is_no_proof(ended_ago):
    [move] = await look(Cargo(), make_doubt(ended_ago=ended_ago))
    assert move.to is State.CHECKING


async def test_absence_is_proved_by_two_scans_of_a_list_that_stays():
    cargo = Cargo(*(make_chat(BEGAN + number, "d-9") for number in range(7)))
    [move] = await look(cargo, make_doubt())
    assert (move.to, move.failure.code) == (State.WAITING, "absent")


async def test_of_two_chats_the_older_is_adopted_and_the_other_shown():
    newer, older = make_chat(BEGAN + 9, "d-1"), make_chat(BEGAN + 3, "d-1")
    moves = await look(Cargo(newer, older), make_doubt())
    assert [move.chat for move in moves] == [older, newer]


# clocks


@pytest.mark.parametrize("skew", [-SKEW, -90_000, 90_000, SKEW - 1])
async def test_a_chat_is_found_however_cargos_clock_goes(skew):
    """It was made at the last moment when it could be."""
    mine = make_chat(NOW - ENDED_AGO + POLICY.settle + skew, "d-1")
    [move] = await look(Cargo(mine), make_doubt())
    assert move.chat == mine


@pytest.mark.parametrize("wrong", [-86_400_000, 86_400_000])
async def test_the_relays_own_clock_does_not_matter(wrong):
    mine = make_chat(NOW - ENDED_AGO, "d-1")
    [move] = await look(Cargo(mine), make_doubt(), clock=NOW + wrong)
    assert move.chat == mine


def other(created_at):
    return make_chat(created_at, "d-9")


@pytest.mark.parametrize("skew", [0, 200_000])
@pytest.mark.parametrize("order", [lambda chat: chat.created_at, lambda chat: -chat.created_at, lambda chat: chat.uuid])
async def test_chats_that_are_made_meanwhile_do_not_put_the_proof_off(skew, order):
    def make_another(cargo, asked):
        if asked % 2:
            cargo.rows.append(other(NOW + skew + asked))

    cargo = Cargo(*(other(BEGAN + number) for number in range(5)), order=order, between=make_another)
    [move] = await look(cargo, make_doubt())
    assert move.to is State.WAITING


@pytest.mark.parametrize("skew", [0, 200_000])
@pytest.mark.parametrize("page", range(1, 7))
async def test_a_chat_that_leaves_the_list_while_it_is_read_makes_it_no_proof(page, skew):
    """Those behind it move up, one of them into what was read already. Each scan has three pages and an end."""
    gone = other(BEGAN + skew)

    def leave(cargo, asked):
        if asked == page:
            cargo.rows.remove(gone)

    [move] = await look(
        Cargo(gone, *(other(BEGAN + skew + number) for number in range(1, 5)), between=leave), make_doubt()
    )
    assert move.to is State.CHECKING


@pytest.mark.parametrize("skew", [0, 200_000])
async def test_a_chat_passed_over_by_one_scan_is_found_by_the_other(skew):
    """What was read leaves the list, and the one that is looked for moves up into its place."""
    mine, gone = make_chat(BEGAN + 50 + skew, "d-1"), [other(BEGAN + 1 + skew), other(BEGAN + 2 + skew)]

    def leave(cargo, asked):
        if asked == 1:
            cargo.rows = [row for row in cargo.rows if row not in gone]

    [move] = await look(Cargo(*gone, mine, other(BEGAN + 60 + skew), between=leave), make_doubt())
    assert move.chat == mine


async def test_an_old_chat_that_only_the_second_scan_saw_makes_it_no_proof():
    late = other(BEGAN + 5)

    def show(cargo, asked):
        if asked == 3:
            cargo.rows.append(late)

    [move] = await look(Cargo(other(BEGAN), between=show), make_doubt())
    assert move.to is State.CHECKING


async def test_a_list_that_does_not_advance_proves_nothing():
    class Stuck(Cargo):
        async def chats(self, trigger_type, after, before, offset):
            return await super().chats(trigger_type, after, before, 0)

    [move] = await look(Stuck(other(BEGAN)), make_doubt())
    assert move.to is State.CHECKING


async def test_a_list_that_fails_is_read_again_later():
    class Failing(Cargo):
        async def chats(self, trigger_type, after, before, offset):
            raise Unknown("reset")

    [move] = await look(Failing(), make_doubt())
    assert (move.to, move.verdict) == (State.CHECKING, None)


async def test_a_long_time_is_read_in_slices_and_none_is_left_out():
    chats = [other(BEGAN - 30 * SLICE + number * SLICE // 2) for number in range(60)]
    doubt = make_doubt()
    [move] = await look(Cargo(*chats), Doubt(doubt.claim, NOW, BEGAN - 30 * SLICE, ENDED_AGO, looks=0))
    assert move.to is State.WAITING
