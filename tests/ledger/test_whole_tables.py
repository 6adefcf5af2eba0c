"""On PostgreSQL nothing on the way of an event reads a whole table, also before the server knows what is in it.

A server that has not analyzed a table yet, as those of a new day, takes it for empty, and an empty table is best read
whole. It keeps such a plan.
"""

import asyncio
import re
from collections import Counter

from sqlalchemy import text

from relay.ledger import SqlLedger, Terms
from relay.ledger.engine.postgres import PostgresStore, connect
from relay.model import Settled
from tests.ledger.build import created, make_entry, offered, waiting, with_every_key

_READS = text("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE seq_scan > 0")
_ROWS_OF_WORK = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'work'")
SMALL = {"counters", "pauses", "slots"}
"""Tables of a handful of rows, all of which are asked for."""


class Watched(PostgresStore):
    """Counts how often transactions read a table whole; partitions count as their table."""

    def __init__(self, engine):
        super().__init__(engine)
        self.whole = Counter()

    async def write(self, work, *, slow=False):
        return await super().write(self._watch(work), slow=slow)

    async def read(self, work, *, slow=False):
        return await super().read(self._watch(work), slow=slow)

    def _watch(self, work):
        def watched(conn, now):
            before = _counts(conn)
            answer = work(conn, now)
            self.whole += _counts(conn) - before
            return answer

        return watched


def _counts(conn):
    counts = Counter()
    for name, many in conn.execute(_READS):
        counts[re.sub(r"_(\d+(_\d+)?|rest)$", "", name)] += many
    return counts


async def live(ledger):
    """Let some events go their whole way, with a duplicate, one that is tried again and one whose result is."""
    new = [make_entry() for _ in range(8)]
    await ledger.accept(new[:1])
    await ledger.accept([make_entry()], offered(4))
    await asyncio.gather(*(ledger.accept([each]) for each in new), ledger.accept([with_every_key()]))
    await ledger.known(new)
    first, *others = await ledger.claim(8)
    await ledger.record(waiting(first, 0))
    await asyncio.gather(*(ledger.record(created(each)) for each in others))
    retried, *told = await ledger.due(20)
    await ledger.settle(Settled(retried.result.id, retried.destination, confirmed=False, retry_in=1))
    await asyncio.gather(*(ledger.settle(Settled(each.result.id, each.destination, confirmed=True)) for each in told))
    await ledger.sequence()


async def look_around(ledger):
    """What a replica asks again and again, whether something happens or not."""
    await ledger.expire()
    await ledger.sweep()
    await ledger.doubts(8)
    await ledger.wake()
    await ledger.give_back([])
    await ledger.return_deliveries([])
    await ledger.lease("scanner", 1_000)
    await ledger.reserve(8)
    await ledger.next_close()
    await ledger.gathered()
    await ledger.pauses()
    await ledger.probe()


async def test_nothing_reads_a_whole_table_on_the_way_of_an_event(migrated_url):
    store = Watched(connect(migrated_url))
    ledger = SqlLedger(store, Terms(owner="one", lease=40_000))
    try:
        await ledger.make_days()
        store.whole.clear()
        for _ in range(8):  # the server settles on a plan with the sixth time
            await live(ledger)
            await look_around(ledger)
        assert not store.whole.keys() - SMALL, store.whole
    finally:
        await ledger.aclose()


async def test_a_claim_reads_nothing_that_is_not_due(migrated_url):
    """However much a delay holds, of one source or of several that have a backlog."""
    ledger = SqlLedger(PostgresStore(connect(migrated_url)), Terms(owner="one", lease=40_000))
    held = {"delay": {"for": 300_000, "key": None}}

    def claim(conn, now):
        before = conn.execute(_ROWS_OF_WORK).scalar_one()
        ledger._claim.work(conn, now, [4])
        return conn.execute(_ROWS_OF_WORK).scalar_one() - before

    try:
        for source in ("one", "two"):
            await ledger.accept([make_entry(source=source, dispatch={"plan": held}) for _ in range(300)])
            await ledger.accept([make_entry(source=source) for _ in range(6)])
        for _ in range(4):  # the first does not know yet that there is a backlog; the last finds nothing
            assert await ledger.write(claim) < 60
    finally:
        await ledger.aclose()
