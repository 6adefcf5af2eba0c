"""The first message is said once: whatever is not known of it is looked up before it is said again, or given up."""

import asyncio

import pytest

from relay.dispatch import Gate, Policy, Worker
from relay.errors import Permanent, Retryable, Unknown
from relay.life import Signals, Stop
from relay.model import About, Claim, Dispatch, Message, ParkReason, Record, Recorded, State, Verdict
from relay.telemetry import Metrics
from tests.virtual import virtually

POLICY = Policy(timeout=30_000, first=1_000, cap=60_000, give_up_after=600_000, settle=60_000, random=lambda: 0.5)
NOW = 1_800_000_000_000
MINE = Message("m-1", "user", "success")
THEIRS = Message("m-2", "assistant", "generating")
UNCLEAR = [
    Unknown("timeout"),
    Unknown("reset"),
    Unknown("busy", status=503),
    Permanent("wait", status=409, code="lastMessageNotFinished"),
]


class Work:
    """Hands out one claim, keeps the move that follows."""

    def __init__(self, claim):
        self.claims = [claim]
        self.move = None

    async def claim(self, limit):
        claims, self.claims = self.claims, []
        return claims

    async def withheld(self):
        return []

    async def wake(self):
        return None

    async def record(self, move, *offers):
        self.move = move
        return Record(Recorded.APPLIED, move)


class Chats:
    """Cargo, its answers set; an error is raised."""

    def __init__(self, listed, answer):
        self.listed = listed
        self.answer = answer
        self.said = 0

    async def messages(self, chat_uuid):
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed

    async def say(self, chat_uuid, text, agent_uuid):
        self.said += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or await asyncio.get_running_loop().create_future()


async def say(*, doubt=False, waited=0, listed=(), answer="m-1"):
    """What one claim in `messaging` comes to: the move, and how often the message was said; no answer is a hang."""
    about = About("e-1", "helpdesk", "x-1", "ticket", None, None, None, NOW)
    dispatch = Dispatch("d-1", "e-1", "helpdesk", "urgent", "{}", message="Hello")
    claim = Claim(
        dispatch,
        State.MESSAGING,
        fence=3,
        lease=POLICY.lease,
        attempt=2,
        attempts=1,
        waited=waited,
        about=about,
        chat_uuid="c-1",
        doubt=doubt,
    )
    work, chats = Work(claim), Chats(listed, answer)
    signals = Signals()
    gate = Gate(work, chats, POLICY, signals, boottime=lambda: 0)
    clock = {"clock": lambda: NOW, "boottime": lambda: 0}
    worker = Worker(work, chats, gate, POLICY, signals, concurrency=1, metrics=Metrics(), **clock)
    stop = Stop()
    running = asyncio.create_task(worker.run(stop))
    while answer and work.move is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    stop.begin(1)
    await running
    return work.move, chats.said


@pytest.mark.parametrize("trouble", UNCLEAR, ids=str)
@pytest.mark.parametrize("waited", [0, POLICY.give_up_after])
@virtually
async def test_what_is_not_known_settles_before_it_is_looked_up(trouble, waited):
    """However long it took: told as failed, it would be told wrongly if it did arrive."""
    move, _ = await say(answer=trouble, waited=waited)
    assert (move.to, move.doubt, move.due_in, move.results) == (State.MESSAGING, True, POLICY.settle, ())


@virtually
async def test_a_message_under_way_when_the_relay_stops_settles_too():
    move, _ = await say(answer=None)
    assert (move.to, move.doubt, move.due_in) == (State.MESSAGING, True, POLICY.settle)


@pytest.mark.parametrize("waited", [0, POLICY.give_up_after])
@virtually
async def test_a_message_that_is_there_was_said(waited):
    move, said = await say(doubt=True, listed=[THEIRS, MINE], waited=waited)
    assert (said, move.to, move.verdict) == (0, State.DONE, Verdict.SENT)
    assert [result.type for result in move.results] == ["relay.message.sent"]


@virtually
async def test_a_message_that_is_not_there_is_said_again():
    move, said = await say(doubt=True, listed=[THEIRS])
    assert (said, move.to, move.verdict) == (1, State.DONE, Verdict.SENT)


@virtually
async def test_a_message_that_is_not_there_when_its_time_is_up_is_given_up():
    move, said = await say(doubt=True, listed=[], waited=POLICY.give_up_after)
    assert (said, move.to, move.failure.code) == (0, State.DONE, ParkReason.GAVE_UP)
    assert [result.type for result in move.results] == ["relay.message.failed"]


@pytest.mark.parametrize("trouble", [Unknown("reset"), Retryable("no connection"), Permanent("gone", status=404)])
@virtually
async def test_while_the_messages_cannot_be_listed_nothing_is_said(trouble):
    move, said = await say(doubt=True, listed=trouble)
    assert (said, move.to, move.doubt) == (0, State.MESSAGING, True)


@virtually
async def test_messages_that_cannot_be_listed_are_not_waited_for_without_end():
    move, said = await say(doubt=True, listed=Unknown("reset"), waited=POLICY.give_up_after)
    assert (said, move.to, move.failure.code) == (0, State.DONE, ParkReason.GAVE_UP)
