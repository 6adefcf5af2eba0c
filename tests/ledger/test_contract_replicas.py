"""What every ledger promises of replicas: who is there, since when, by the ledger's clock."""

from sqlalchemy import select

from relay.ledger.schema import replicas
from relay.model import Replica


async def test_replicas_are_those_that_were_there_within_a_minute(ledger, other, clock):
    start = clock.now
    await ledger.appear("1.0")
    clock.now += 5_000
    await other.appear("1.1")
    clock.now += 56_000
    await other.appear("1.1")
    assert await ledger.replicas() == [Replica("two", "1.1", start + 5_000, clock.now)]
    await ledger.appear("1.0")
    assert [each.name for each in await other.replicas()] == ["one", "two"], "the oldest first"
    clock.now -= 3_600_000
    assert await ledger.replicas() == [], "what was seen in the future may be long gone"
    await ledger.appear("1.0")
    assert await ledger.replicas() == [Replica("one", "1.0", start, clock.now)]


async def test_replicas_that_are_gone_are_pruned(store, ledger, other, clock):
    await ledger.appear("1.0")
    clock.now += 3_600_001
    await other.appear("1.0")
    await ledger.prune()
    kept = await store.read(lambda conn, _: conn.execute(select(replicas.c.owner)).scalars().all())
    assert kept == ["two"]
