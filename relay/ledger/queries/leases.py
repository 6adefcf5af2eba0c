"""Named leases (who scans, who prunes) and the slots below the high-water mark."""

from typing import Final

from sqlalchemy import Connection, delete, func, or_, select

from relay.ledger.engine.sql import upsert
from relay.ledger.queries import counters
from relay.ledger.schema import leases, slots, work
from relay.ledger.terms import Terms

GRANT: Final = 30_000
"""Milliseconds after which granted slots lapse."""

PROBE: Final = "probe"
"""The row that is written to find out whether the ledger takes writes; nobody ever holds it."""


def lease(conn: Connection, now: int, *, name: str, ttl: int, terms: Terms) -> bool:
    """Take or renew; False while another has it. One that ends later than twice its time from now is void."""
    take = upsert(conn.dialect.name, leases).values(name=name, owner=terms.owner, until=now + ttl)
    free = or_(leases.c.owner == terms.owner, leases.c.until <= now, leases.c.until > now + 2 * ttl)
    taken = take.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={"owner": take.excluded.owner, "until": take.excluded.until},
        where=free,
    ).returning(leases.c.name)
    return conn.execute(taken).first() is not None


def release(conn: Connection, _now: int, *, name: str, terms: Terms) -> None:
    conn.execute(delete(leases).where(leases.c.name == name, leases.c.owner == terms.owner))


def probe(conn: Connection, now: int) -> None:
    """Write one row, always the same: what is rolled back would not show a disk that is full or a commit that fails."""
    put = upsert(conn.dialect.name, leases).values(name=PROBE, owner="", until=now)
    conn.execute(put.on_conflict_do_update(index_elements=[leases.c.name], set_={"until": put.excluded.until}))


def reserve(conn: Connection, now: int, *, wanted: int, terms: Terms) -> int:
    """Grant slots: the mark, less what is unfinished, less what others were granted and may still use.

    What another has used of its grant counts twice until the grant lapses: never above the mark, perhaps early.
    """
    counters.lock(conn, "paused")  # any row that all replicas have: grants go one after the other
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
