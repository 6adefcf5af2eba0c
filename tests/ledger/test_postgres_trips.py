"""What an event costs of the time to PostgreSQL and back: few round trips, however many rows it writes."""

import asyncio
from contextlib import contextmanager, nullcontext

import pytest

from relay.ledger import Terms, open_ledger
from relay.model import EventStatus, Labels, Recorded
from tests.ledger.build import created, guarded, make_entry, offered, waiting, with_every_key
from tests.services.proxy import proxying

ACCEPT = RECORD = 5
"""BEGIN, the clock, then the identities or the rows of work, all other writes together, COMMIT."""


@pytest.fixture
async def counted(postgres_url):
    """A ledger whose statements are prepared, and the proxy that counts the server's answers to it."""
    async with proxying(postgres_url, b"") as proxy:
        ledger = await open_ledger(proxy.url, Terms(owner="one"), migrate=True)
        try:
            yield ledger, proxy
        finally:
            await ledger.aclose()


@contextmanager
def trips(proxy, count):
    """The block takes this many round trips. Execute the same before, so that the statements are prepared."""
    before = proxy.answers
    yield
    assert proxy.answers - before == count


@pytest.mark.parametrize(
    "make",
    [
        lambda: [make_entry()],
        lambda: [make_entry(rules=())],
        lambda: [make_entry(rules=("one", "two", "three"))],
        lambda: [make_entry(rules=("one", "two"), subject=subject) for subject in ("a", None, "b")],
        lambda: [make_entry(rules=("one", "two"), dispatch={"labels": Labels({"a": "b", "c": "d"}, {})})],
        lambda: [make_entry(dispatch={"plan": guarded("new")})],
        lambda: [make_entry(dispatch={"plan": guarded("known")}) for _ in range(3)],
    ],
    ids=[
        *("one event", "unmatched", "three rules", "three events", "labels"),
        *("the loop guard", "the loop guard, of known keys"),
    ],
)
async def test_an_accept(counted, make):
    ledger, proxy = counted
    for _ in range(2):  # what is known the second time is written by other statements
        await ledger.accept(make(), offered(100))
    with trips(proxy, ACCEPT):
        receipts = await ledger.accept(make(), offered(100))
    assert EventStatus.DUPLICATE not in {receipt.status for receipt in receipts}


async def test_an_accept_with_every_key_takes_at_most_twice_as_many(counted):
    ledger, proxy = counted
    for _ in range(2):
        await ledger.accept([with_every_key() for _ in range(3)], offered(100))
    before = proxy.answers
    await ledger.accept([with_every_key() for _ in range(3)], offered(100))
    assert proxy.answers - before <= 2 * ACCEPT


async def test_a_record(counted):
    ledger, proxy = counted
    await ledger.accept([make_entry(), make_entry()])
    for turn, claim in enumerate(await ledger.claim(2)):
        with trips(proxy, RECORD) if turn else nullcontext():
            assert (await ledger.record(created(claim))).how is Recorded.APPLIED


async def test_a_record_of_what_is_tried_again(counted):
    ledger, proxy = counted
    await ledger.accept([make_entry(), make_entry()])
    for turn, claim in enumerate(await ledger.claim(2)):
        with trips(proxy, RECORD) if turn else nullcontext():
            assert (await ledger.record(waiting(claim, 5_000))).how is Recorded.APPLIED


async def test_records_that_share_a_commit(counted):
    """The changes of several dispatches are one trip more: they lock rows, which must happen in order."""
    ledger, proxy = counted
    await ledger.accept([make_entry() for _ in range(8)])
    claims = await ledger.claim(8)
    for turn in (0, 1):
        with trips(proxy, RECORD + 1) if turn else nullcontext():
            mine = claims[4 * turn : 4 * turn + 4]
            await asyncio.gather(*(ledger.record(created(claim)) for claim in mine))
    assert len(await ledger.due(10)) == 8
