"""Presence is proof at once, absence only from complete scans of all the time in which the chat may say it was made."""

import asyncio
import contextlib
import json
from itertools import count

import pytest

from relay.dispatch import Gate, Policy, Reconciler
from relay.dispatch.scan import SKEW, SLICE
from relay.errors import Unknown
from relay.life import Signals
from relay.model import UNSTAMPED, About, Chat, Claim, Dispatch, Doubt, Page, ParkReason, Record, Recorded, State
from relay.telemetry import Metrics

POLICY = Policy(timeout=30_000, first=1_000, cap=60_000, give_up_after=600_000, settle=60_000, random=lambda: 0.5)
NOW = 1_800_000_000_000
BEGAN = NOW - 100_000
ENDED_AGO = 70_000
AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CONNECTOR = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"
OTHER = "11111111-1111-4111-8111-111111111111"
numbers = count(1)


class Work:
    """Hands out doubts, keeps the moves that follow."""

    def __init__(self, *doubts):
        self.waiting = doubts
        self.moves = []
        self.late = []

    async def expire(self):
        return self.late.pop(0) if self.late else []

    async def sweep(self):
        return 0

    async def lease(self, name, ttl):
        return True

    async def release(self, name):
        pass

    async def pace(self, calls):
        return 0

    async def doubts(self, limit):
        return self.waiting

    async def record(self, move, *offers):
        self.moves.append(move)
        return Record(Recorded.APPLIED, move)


class Cargo:
    """A list of chats, two rows a page; `between(asked)` may change it after each page, counted from 1."""

    def __init__(self, *chats, order=lambda chat: chat.created_at, between=lambda cargo, asked: None, page=2):
        self.rows = list(chats)
        self.page = page
        self.order = order
        self.between = between
        self.asked = 0

    async def chats(self, trigger_type, after, before, offset):
        rows = sorted((row for row in self.rows if after <= row.created_at <= before), key=self.order)
        rows = rows[offset : offset + self.page]
        self.asked += 1
        self.between(self, self.asked)
        return Page(tuple(rows), len(rows))


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


def reconciler(work, cargo, clock=NOW):
    signals, clocks = Signals(), {"clock": lambda: clock, "boottime": lambda: 0}
    gate = Gate(work, cargo, POLICY, signals, boottime=lambda: 0)
    return Reconciler(work, cargo, gate, POLICY, signals, metrics=Metrics(), **clocks)


async def look(cargo, *doubts, clock=NOW):
    """The moves of one round."""
    work = Work(*doubts)
    await reconciler(work, cargo, clock).turn()
    return work.moves


async def test_all_that_waited_too_long_is_ended_in_one_turn():
    """The ledger ends a bounded number at a time."""
    work = Work()
    work.late = [[make_doubt().claim.dispatch] for _ in range(3)]
    await reconciler(work, Cargo()).turn()
    assert work.late == []


async def test_a_chat_is_adopted_as_soon_as_it_is_seen():
    mine = make_chat(BEGAN, "d-1")
    [move] = await look(Cargo(mine), make_doubt(ended_ago=0))
    assert (move.to, move.chat, move.reconciled) == (State.DONE, mine, True)


@pytest.mark.parametrize(("pause", "looked"), [("circuit", True), ("unauthorized", False)])
async def test_an_open_circuit_stops_no_look(pause, looked):
    """Cargo may list its chats while it fails to create them, and a chat that is there is proof at once."""
    work = Work(make_doubt(ended_ago=0))
    watching = reconciler(work, Cargo(make_chat(BEGAN, "d-1")))
    watching._gate._recorded = (pause,)
    await watching.turn()
    assert [move.to for move in work.moves] == ([State.DONE] if looked else [])


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


def newest_first(chat):
    return -chat.created_at


@pytest.mark.parametrize("skew", [-90_000, 0, 200_000])
async def test_a_scan_ends_while_more_chats_are_made_than_a_page_holds(skew):
    """Where the list begins with the newest, they push all others back faster than the offset advances."""

    def make_more(cargo, asked):
        assert asked < 50, "it never ends"
        cargo.rows += [other(NOW + skew + 100 * asked + number) for number in range(15)]

    chats = [other(BEGAN + skew + number) for number in range(40)]
    cargo = Cargo(*chats, order=newest_first, between=make_more, page=12)
    [move] = await look(cargo, make_doubt())
    assert move.to is State.WAITING
    mine = make_chat(BEGAN + skew - 1, "d-1")
    [move] = await look(Cargo(mine, *chats, order=newest_first, between=make_more, page=12), make_doubt())
    assert move.chat == mine


async def test_an_end_that_cargo_rounds_down_leaves_no_chat_out():
    """Its list then has no chat of the last second, where the one that is looked for may be."""

    class Rounding(Cargo):
        async def chats(self, trigger_type, after, before, offset):
            return await super().chats(trigger_type, after, before - before % 1_000, offset)

    chats = [other(NOW - 500 + number) for number in range(40)]
    mine = make_chat(NOW - 501, "d-1")
    [move] = await look(Rounding(mine, *chats, order=newest_first, page=12), make_doubt())
    assert move.chat == mine


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


# chats without a stamp

NAMED = {"name": "Ticket", "agent_uuid": AGENT, "body": {"connectorUuid": CONNECTOR}}
NAMELESS = {"agent_uuid": AGENT, "body": {"connectorUuid": CONNECTOR}}
BARE = {"body": {"connectorUuid": CONNECTOR}}
LIKE = {"agent_uuid": AGENT, "connector_uuid": CONNECTOR}


@pytest.mark.parametrize(
    ("asked", "seen", "alike"),
    [
        (NAMED, {"name": "Ticket", **LIKE}, True),
        (NAMED, {"name": "Another", **LIKE}, False),
        (NAMED, {"name": "Ticket", **LIKE, "agent_uuid": OTHER}, False),
        (NAMED, {"name": "Ticket", **LIKE, "connector_uuid": OTHER}, False),
        (NAMED, {"name": None, **LIKE}, True),
        (NAMED, {"name": "Ticket"}, True),
        (NAMELESS, {"name": "A name that Cargo gave", **LIKE}, True),
        (NAMELESS, {"name": None, **LIKE}, True),
        (NAMELESS, {"name": "A name that Cargo gave", **LIKE, "agent_uuid": OTHER}, False),
        (NAMELESS, {"name": "A name that Cargo gave", **LIKE, "connector_uuid": OTHER}, False),
        (BARE, {"name": "A name that Cargo gave", **LIKE}, True),
        (BARE, {"name": "A name that Cargo gave", **LIKE, "connector_uuid": OTHER}, False),
        ({**NAMED, "agent_uuid": AGENT.upper()}, {"name": "Ticket", **LIKE}, True),
        ({**NAMED, "body": {"connectorUuid": CONNECTOR.upper()}}, {"name": "Ticket", **LIKE}, True),
    ],
)
async def test_a_chat_without_a_stamp_may_be_the_one_if_nothing_sets_it_apart(asked, seen, alike):
    chat = make_chat(BEGAN + 5, **seen)
    [move] = await look(Cargo(chat), make_doubt(**asked))
    if alike:
        assert (move.to, move.park, move.failure.code) == (State.PARKED, ParkReason.UNKNOWN, UNSTAMPED)
        assert chat.uuid in move.failure.message
    else:
        assert (move.to, move.failure.code) == (State.WAITING, "absent")


@pytest.mark.parametrize(("began", "state"), [(BEGAN - SKEW - 1, State.WAITING), (BEGAN - SKEW, State.PARKED)])
async def test_a_chat_that_was_there_before_is_not_the_one(began, state):
    # A window that another dispatch made longer.
    [move, _] = await look(
        Cargo(make_chat(began, **LIKE)),
        make_doubt(**NAMELESS),
        Doubt(make_doubt("d-2", name="Other").claim, NOW, BEGAN - 60_000, ENDED_AGO, looks=0),
    )
    assert move.to is state


async def test_where_the_rule_says_so_it_is_sent_again():
    [move] = await look(Cargo(make_chat(BEGAN, **LIKE)), make_doubt(**NAMELESS, on_unknown="retry"))
    assert (move.to, move.failure.code) == (State.WAITING, UNSTAMPED)


async def test_a_person_who_was_shown_the_chats_and_retries_has_decided():
    [move] = await look(Cargo(make_chat(BEGAN, **LIKE)), make_doubt(**NAMELESS, attempts=0, doubt=True))
    assert move.to is State.WAITING


async def test_the_decision_is_kept_while_the_look_goes_on():
    [move] = await look(Cargo(), make_doubt(**NAMELESS, attempts=0, doubt=True, ended_ago=0))
    assert (move.to, move.doubt) == (State.CHECKING, True)


async def test_a_person_who_was_shown_nothing_yet_is_shown_them_first():
    [move] = await look(Cargo(make_chat(BEGAN, **LIKE)), make_doubt(**NAMELESS, attempts=0))
    assert (move.to, move.failure.code) == (State.PARKED, UNSTAMPED)


@pytest.mark.parametrize(("attempts", "state"), [(1, State.PARKED), (0, State.WAITING)])
async def test_what_never_has_a_stamp_is_a_persons_to_decide(attempts, state):
    [move] = await look(Cargo(make_chat(BEGAN)), make_doubt(trigger_type="draft", attempts=attempts))
    assert move.to is state


class Turns:
    """Whose turn it is to scan, on a clock that moves only when told."""

    def __init__(self):
        self.now = self.until = 0
        self.owner = None

    def lease(self, owner, ttl):
        if self.owner not in {owner, None} and self.until > self.now:
            return False
        self.owner, self.until = owner, self.now + ttl
        return True

    def release(self, owner):
        if self.owner == owner:
            self.owner = None


class Replica(Work):
    """The work of one replica among several."""

    def __init__(self, turns, *doubts):
        super().__init__(*doubts)
        self.turns = turns

    async def lease(self, name, ttl):
        return self.turns.lease(self, ttl)

    async def release(self, name):
        self.turns.release(self)


async def test_with_nothing_to_look_for_nobody_takes_the_turn():
    turns = Turns()
    await reconciler(Replica(turns), Cargo()).turn()
    assert turns.until == 0


@pytest.mark.parametrize("trouble", [None, Unknown("no answer"), asyncio.CancelledError()])
async def test_the_turn_is_given_back_however_a_look_ends(trouble):
    def between(cargo, asked):
        if trouble is not None:
            raise trouble

    turns = Turns()
    looking = reconciler(Replica(turns, make_doubt()), Cargo(between=between)).turn()
    with contextlib.suppress(asyncio.CancelledError):
        await looking
    assert turns.until > 0
    assert turns.owner is None


async def test_when_the_scanner_dies_another_goes_on_after_the_time_of_a_call():
    """The dead gives nothing back: it stops between two pages and is never heard of again."""
    turns, cut = Turns(), asyncio.Event()

    class Hanging(Cargo):
        async def chats(self, *args):
            cut.set()
            await asyncio.Event().wait()

    dying = asyncio.create_task(reconciler(Replica(turns, make_doubt()), Hanging()).turn())
    await cut.wait()
    other = Replica(turns, make_doubt())
    for turns.now, looked in ((POLICY.lease - 1, False), (POLICY.lease, True)):
        await reconciler(other, Cargo(make_chat(BEGAN, "d-1"))).turn()
        assert bool(other.moves) is looked
    dying.cancel()


async def test_a_scan_of_many_pages_keeps_its_turn():
    """Each page takes as long as a call may."""
    turns = Turns()
    other, others = Replica(turns, make_doubt()), Cargo()

    def between(cargo, asked):
        turns.now += POLICY.timeout
        assert not turns.lease(other, POLICY.lease)

    cargo = Cargo(*(make_chat(BEGAN + number, "d-9") for number in range(9)), between=between)
    await reconciler(Replica(turns, make_doubt()), cargo).turn()
    assert cargo.asked > 5
    await reconciler(other, others).turn()
    assert others.asked > 0
