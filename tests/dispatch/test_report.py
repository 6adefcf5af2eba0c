"""What is logged and counted of a move is what the ledger made of it, which may know more than whoever asked."""

import pytest
from structlog.testing import capture_logs

from relay.dispatch.report import report
from relay.ledger import SqlLedger, Terms
from relay.ledger.engine import migrate
from relay.ledger.engine.sqlite import MEMORY, SqliteStore
from relay.model import Claim, Failure, Record, Recorded, State, Verdict
from relay.telemetry import Metrics
from tests.ledger.build import created, make_chat, make_dispatch, make_entry, make_event, move, waiting

REFUSED = Failure("refused", "agent not found", 404)


class Clock:
    now = 1_800_000_000_000

    def __call__(self, *_):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def ledger(clock):
    store = SqliteStore(MEMORY, clock=clock)
    await store.write(migrate.upgrade)
    ledger = SqlLedger(store, Terms(owner="me"))
    yield ledger
    await ledger.aclose()


def tell(claim, record):
    """The lines that are logged, the chats that are counted, by outcome, and the kinds of problems that are seen."""
    metrics = Metrics()
    with capture_logs() as lines:
        report(claim, record, metrics)
    outcomes = ("created", "failed", "parked", "cancelled")
    counted = {
        name: metrics.registry.get_sample_value("relay_chats_total", {"rule": "urgent", "outcome": name})
        for name in outcomes
    }
    return (
        lines,
        {name for name, count in counted.items() if count},
        {kind for kind, *_ in metrics.problems.take().seen},
    )


async def test_a_refusal_after_which_a_late_chat_is_adopted_is_a_chat(ledger, clock):
    await ledger.accept([make_entry()])
    [late] = await ledger.claim(1)
    clock.now += late.lease + 1
    await ledger.sweep()
    clock.now += 1_000
    [doubt] = await ledger.doubts(1)
    await ledger.record(waiting(doubt.claim, 0))
    [second] = await ledger.claim(1)
    assert (await ledger.record(created(late, make_chat("chat-1")))).how is Recorded.LATE
    record = await ledger.record(move(second, State.FAILED, verdict=Verdict.PERMANENT, failure=REFUSED))
    [line], counted, problems = tell(second, record)
    assert (line["event"], line["chat_uuid"]) == ("chat.created", "chat-1")
    assert (counted, problems) == ({"created"}, set())


async def test_a_call_during_which_it_was_cancelled_is_told_as_cancelled(ledger):
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.cancel(claim.dispatch.id)
    record = await ledger.record(waiting(claim, 0))
    [line], counted, problems = tell(claim, record)
    assert (line["event"], line["log_level"]) == ("chat.cancelled", "info")
    assert (counted, problems) == ({"cancelled"}, set())


def messaging(attempt):
    event = make_event()
    dispatch = make_dispatch(event, "urgent", message="Hello")
    return Claim(dispatch, State.MESSAGING, 3, 40_000, attempt=attempt, attempts=1, waited=0, about=event.about())


def test_the_lines_of_a_message_count_its_own_attempts():
    claim = messaging(3)
    [line], *_ = tell(claim, Record(Recorded.APPLIED, move(claim, State.MESSAGING, due_in=5_000)))
    assert (line["event"], line["attempt"]) == ("message.waiting", 3)


def test_a_follow_up_that_is_refused_is_a_failed_chat_and_a_problem():
    claim = messaging(1)
    failed = move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=REFUSED)
    [line], counted, problems = tell(claim, Record(Recorded.APPLIED, failed))
    assert line["event"] == "message.failed"
    assert (counted, problems) == ({"failed"}, {"failures"})


def test_a_follow_up_that_was_cancelled_meanwhile_is_told_as_cancelled():
    """The chat of its thread is gone, and no other one is made."""
    claim = messaging(1)
    [line], counted, problems = tell(claim, Record(Recorded.APPLIED, move(claim, State.CANCELLED)))
    assert (line["event"], counted, problems) == ("chat.cancelled", {"cancelled"}, set())
