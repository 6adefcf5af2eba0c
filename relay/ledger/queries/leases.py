"""What replicas share: named leases, which choose the replica for a task (scanning, pruning), the slots below the
high-water mark, and who is there."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, func, or_, select

from relay.ledger.engine.sql import upsert
from relay.ledger.queries import counters
from relay.ledger.schema import leases, replicas, slots, work
from relay.ledger.terms import Terms
from relay.model import Replica

GRANT: Final = 30_000
"""Milliseconds after which granted slots lapse."""

SEEN: Final = 60_000
"""Milliseconds for which a replica is taken to be there after it was seen."""

PROBE: Final = "probe"
"""The row that is written to test whether the ledger takes writes. No replica ever holds it as a lease."""


def lease(conn: Connection, now: int, *, name: str, ttl: int, terms: Terms) -> bool:
    """Take or renew a lease for `ttl` milliseconds. Returns False while another replica holds it.

    A lease that ends more than `2 * ttl` from now comes from a clock that was set back since, and counts as free.
    """
    take = upsert(conn.dialect.name, leases).values(name=name, owner=terms.owner, until=now + ttl)
    free = or_(leases.c.owner == terms.owner, leases.c.until <= now, leases.c.until > now + 2 * ttl)
    take_if_free = take.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={"owner": take.excluded.owner, "until": take.excluded.until},
        where=free,
    ).returning(leases.c.name)
    return conn.execute(take_if_free).first() is not None


def release(conn: Connection, _now: int, *, name: str, terms: Terms) -> None:
    """Delete a lease if this replica holds it."""
    conn.execute(delete(leases).where(leases.c.name == name, leases.c.owner == terms.owner))


def probe(conn: Connection, now: int) -> None:
    """Write one row, always the same.

    It must be committed: a write that is rolled back does not show a full disk or a commit that fails.
    """
    put = upsert(conn.dialect.name, leases).values(name=PROBE, owner="", until=now)
    conn.execute(put.on_conflict_do_update(index_elements=[leases.c.name], set_={"until": put.excluded.until}))


def reserve(conn: Connection, now: int, *, wanted: int, terms: Terms) -> int:
    """Grant up to `wanted` slots. Returns how many.

    There are as many as the high-water mark, less the unfinished dispatches, less the grants of other replicas. A slot
    that another replica has used counts twice until its grant lapses, so the mark is never exceeded, but grants may be
    refused early.
    """
    # Any row that all replicas can lock serves: two grants at once would each miss the other.
    counters.lock(conn, "paused")
    others = select(func.coalesce(func.sum(slots.c.free), 0)).where(
        slots.c.owner != terms.owner, slots.c.until > now, slots.c.until <= now + 2 * GRANT
    )
    taken = conn.execute(select(func.count()).select_from(work)).scalar_one() + conn.execute(others).scalar_one()
    granted = max(0, min(wanted, terms.high_water - int(taken)))
    put = upsert(conn.dialect.name, slots).values(owner=terms.owner, free=granted, until=now + GRANT)
    conn.execute(
        put.on_conflict_do_update(
            index_elements=[slots.c.owner], set_={"free": put.excluded.free, "until": put.excluded.until}
        )
    )
    return granted


def appear(conn: Connection, now: int, *, version: str, terms: Terms) -> None:
    """Write that this replica is there."""
    put = upsert(conn.dialect.name, replicas).values(owner=terms.owner, version=version, started_at=now, seen_at=now)
    conn.execute(put.on_conflict_do_update(index_elements=[replicas.c.owner], set_={"seen_at": put.excluded.seen_at}))


def present(conn: Connection, now: int) -> Sequence[Replica]:
    """The replicas that were seen within a minute, the oldest first.

    One that was seen in the future was seen before the clock was set back, and may be long gone.
    """
    seen = replicas.c.seen_at.between(now - SEEN, now + SEEN)
    rows = conn.execute(select(replicas).where(seen).order_by(replicas.c.started_at, replicas.c.owner))
    return [Replica(row.owner, row.version, row.started_at, row.seen_at) for row in rows]
