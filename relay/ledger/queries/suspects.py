"""Queue messages that may crash the process: how often a replica died while it read the same message.

A row with an `owner` says that this replica is reading the message. When another replica then gets the message, the
owner has died. A row without an owner keeps the count of a message that waits in its queue.
"""

from typing import Final

from sqlalchemy import Connection, case, delete, func, null, or_, select, update

from relay.ledger.engine.sql import upsert
from relay.ledger.schema import suspects
from relay.ledger.terms import Terms

LIFETIME: Final = 7 * 86_400_000
"""Milliseconds after which a message that does not return is forgotten."""
MOST: Final = 500
"""Rows that are deleted in one turn."""


def begin(conn: Connection, now: int, *, key: bytes, terms: Terms) -> int:
    """Note that this replica reads the message now. Returns how many replicas died while they read it."""
    insertion = upsert(conn.dialect.name, suspects).values(key=key, deaths=0, owner=terms.owner, at=now)
    new_deaths = case((func.coalesce(suspects.c.owner, terms.owner) != terms.owner, 1), else_=0)
    counted = insertion.on_conflict_do_update(
        index_elements=[suspects.c.key],
        set_={"deaths": suspects.c.deaths + new_deaths, "owner": insertion.excluded.owner, "at": insertion.excluded.at},
    )
    return int(conn.execute(counted.returning(suspects.c.deaths)).scalar_one())


def end(conn: Connection, _now: int, *, key: bytes, settled: bool, terms: Terms) -> None:
    """Note that this replica has read the message and lives. A settled message is forgotten; else its count is kept."""
    own_row = (suspects.c.key == key, suspects.c.owner == terms.owner)
    if settled:
        no_owner = suspects.c.owner.is_(None)
        conn.execute(delete(suspects).where(suspects.c.key == key, or_(suspects.c.owner == terms.owner, no_owner)))
        return
    conn.execute(delete(suspects).where(*own_row, suspects.c.deaths == 0))
    conn.execute(update(suspects).where(*own_row).values(owner=null()))


def expire(conn: Connection, now: int) -> None:
    """Forget messages that did not return within `LIFETIME`."""
    old = select(suspects.c.key).where(suspects.c.at < now - LIFETIME).limit(MOST)
    conn.execute(delete(suspects).where(suspects.c.key.in_(old)))
