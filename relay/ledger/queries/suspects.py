"""Messages of queues that may end the process: how often that happened while one of them was read.

A row says that `owner` reads the message now; where another owner finds it, that one died over it. Without an owner the
row is what is known of a message that waits.
"""

from typing import Final

from sqlalchemy import Connection, case, delete, func, null, or_, select, update

from relay.ledger.engine.sql import upsert
from relay.ledger.schema import suspects
from relay.ledger.terms import Terms

LIFETIME: Final = 7 * 86_400_000
"""Milliseconds for which a message that came no more is remembered."""
MOST: Final = 500


def begin(conn: Connection, now: int, *, key: bytes, terms: Terms) -> int:
    """Note that this replica reads the message now; how many died over it."""
    put = upsert(conn.dialect.name, suspects).values(key=key, deaths=0, owner=terms.owner, at=now)
    died = case((func.coalesce(suspects.c.owner, terms.owner) != terms.owner, 1), else_=0)
    again = put.on_conflict_do_update(
        index_elements=[suspects.c.key],
        set_={"deaths": suspects.c.deaths + died, "owner": put.excluded.owner, "at": put.excluded.at},
    )
    return int(conn.execute(again.returning(suspects.c.deaths)).scalar_one())


def end(conn: Connection, _now: int, *, key: bytes, settled: bool, terms: Terms) -> None:
    """It was read, and nobody died. One that is settled is forgotten, of another the deaths are kept."""
    mine = (suspects.c.key == key, suspects.c.owner == terms.owner)
    if settled:
        unread = suspects.c.owner.is_(None)
        conn.execute(delete(suspects).where(suspects.c.key == key, or_(suspects.c.owner == terms.owner, unread)))
        return
    conn.execute(delete(suspects).where(*mine, suspects.c.deaths == 0))
    conn.execute(update(suspects).where(*mine).values(owner=null()))


def expire(conn: Connection, now: int) -> None:
    """Forget those that came no more."""
    old = select(suspects.c.key).where(suspects.c.at < now - LIFETIME).limit(MOST)
    conn.execute(delete(suspects).where(suspects.c.key.in_(old)))
