"""Sessions of browsers from which somebody has signed out. One that goes on stands in its cookie only."""

from typing import Final

from sqlalchemy import Connection, bindparam, delete, select

from relay.ledger.engine.sql import upsert
from relay.ledger.schema import ended_sessions

_LATE: Final = 3_600_000
"""Milliseconds by which the clock of a replica, which tells when a session ends, may be behind the database's."""
_ENDED: Final = select(ended_sessions.c.until).where(ended_sessions.c.hash == bindparam("hash"))


def end(conn: Connection, _now: int, *, session: bytes, until: int) -> None:
    """Note that a session has ended; it would have ended by itself at `until`."""
    put = upsert(conn.dialect.name, ended_sessions).values(hash=session, until=until)
    conn.execute(put.on_conflict_do_nothing())


def is_ended(conn: Connection, _now: int, *, session: bytes) -> bool:
    """Whether somebody has signed out of it."""
    return conn.execute(_ENDED, {"hash": session}).first() is not None


def expire(conn: Connection, now: int) -> None:
    """Forget those that have ended by themselves, by whichever clock."""
    conn.execute(delete(ended_sessions).where(ended_sessions.c.until < now - _LATE))
