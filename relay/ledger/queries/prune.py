"""Deletes what is past its time, in turns bounded by rows and by bytes, so that no writer waits long.

Where others write too, a turn locks the events that it has chosen, then their dispatches, each in the order of their
ids, and chooses among them anew: whoever adds to an event (a retry, a replay, a cancel) locks it first, and a late chat
locks its dispatch. So either they came before, and the event stays, or they find nothing any more.
"""

from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, Table, case, delete, exists, func, or_, select

from relay.ledger.engine.sql import constant, is_alone
from relay.ledger.queries import refused, suspects
from relay.ledger.schema import acceptances, attempts, dispatches, events, leases, outbox, results, seen, slots, work
from relay.ledger.terms import Terms
from relay.model import EventStatus, State

MOST: Final = 500
SPACE: Final = 8 << 20
"""Bytes of bodies that go in one turn: a database has to touch each page of a large one to free it."""
_STALE: Final = 3_600_000
_ROW: Final = 2_000
"""About what an event takes beside its body, in bytes."""
_IS_UNMATCHED: Final = events.c.status == constant(EventStatus.UNMATCHED.value)
_NEWEST_UNMATCHED: Final = select(events.c.id).where(_IS_UNMATCHED).order_by(events.c.id.desc())


def prune(conn: Connection, now: int, *, terms: Terms) -> int:
    """One turn; how many rows of events, seen ids and kept requests were deleted."""
    own = events.c.source.in_(terms.retain_of)
    turn = _Turn(conn)
    turn.delete_events(_finished(now - terms.retain, ~own if terms.retain_of else None))
    for source, retain in terms.retain_of.items():
        turn.delete_events(_finished(now - retain, events.c.source == source))
    turn.delete_events(_unmatched(conn, now, terms))
    gone = turn.gone + _delete_seen(conn, now)
    gone += refused.expire(conn, now)
    suspects.expire(conn, now)
    conn.execute(delete(leases).where(leases.c.until < now - _STALE))
    conn.execute(delete(slots).where(slots.c.until < now - _STALE))
    return gone


def _before(moment: int) -> ColumnElement[bool]:
    """Ids are UUIDv7, so they say when they were made, and the primary key finds the old ones."""
    stamp = f"{max(0, moment):012x}"
    return events.c.id < f"{stamp[:8]}-{stamp[8:]}"


def _finished(moment: int, of: ColumnElement[bool] | None) -> Select[tuple[str]]:
    """Old events of which nothing is live, parked, still to be told, or has ended since (by a retry, a replay)."""
    mine = dispatches.c.event_id == events.c.id
    live = exists().where(mine, work.c.dispatch_id == dispatches.c.id)
    parked = exists().where(mine, dispatches.c.state == State.PARKED.value)
    fresh = exists().where(mine, dispatches.c.updated_at > moment)
    kept = or_(live, parked, fresh, _is_to_be_told())
    old = _before(moment) if of is None else of & _before(moment)
    return select(events.c.id).where(old, ~kept).order_by(events.c.id)


def _is_to_be_told() -> ColumnElement[bool]:
    return exists().where(results.c.event_id == events.c.id, outbox.c.result_id == results.c.id)


def _unmatched(conn: Connection, now: int, terms: Terms) -> Select[tuple[str]]:
    surplus = conn.execute(_NEWEST_UNMATCHED.offset(terms.max_unmatched).limit(1)).scalar()
    old = _before(now - terms.retain_unmatched)
    over = old if surplus is None else old | (events.c.id <= surplus)
    return select(events.c.id).where(_IS_UNMATCHED, over, ~_is_to_be_told()).order_by(events.c.id)


class _Turn:
    """Deletes events until it has deleted enough."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._room = SPACE
        self.gone = 0

    def delete_events(self, wanted: Select[tuple[str]]) -> None:
        ids = self._choose(wanted) if self._room > 0 else []
        if not ids:
            return
        conn = self._conn
        made = select(dispatches.c.id).where(dispatches.c.event_id.in_(ids))
        conn.execute(delete(attempts).where(attempts.c.dispatch_id.in_(made)))
        conn.execute(delete(dispatches).where(dispatches.c.event_id.in_(ids)))
        conn.execute(delete(results).where(results.c.event_id.in_(ids)))
        conn.execute(delete(events).where(events.c.id.in_(ids)))
        self.gone += len(ids)

    def _choose(self, wanted: Select[tuple[str]]) -> Sequence[str]:
        """The first of those that are wanted, as many as there is room for, one at least; locked."""
        conn = self._conn
        sized = wanted.add_columns(_size(conn)).limit(MOST).with_for_update(of=events, skip_locked=True)
        rows = conn.execute(sized).all()
        sums = accumulate((_ROW + row[1] for row in rows), initial=0)
        ids = [row[0] for row, before in zip(rows, takewhile(lambda total: total < self._room, sums), strict=False)]
        self._room -= sum(_ROW + row[1] for row in rows[: len(ids)])
        if is_alone(conn) or not ids:
            return ids
        mine = select(dispatches.c.id).where(dispatches.c.event_id.in_(ids)).order_by(dispatches.c.id)
        conn.execute(mine.with_for_update())
        still = conn.execute(wanted.where(events.c.id.in_(ids)))
        return [row.id for row in still]


def _size(conn: Connection) -> ColumnElement[int]:
    """About the bytes of an event: its body, again where it was parsed, and once more for each dispatch made of it.

    Nothing of them is read for it: SQLite knows the length of bytes from the head of their row, and of text that it is
    there, if it is asked so.
    """
    if is_alone(conn):
        raw, parsed = func.length(events.c.raw), func.typeof(events.c.data) != "null"
    else:
        raw, parsed = func.octet_length(events.c.raw), events.c.data.is_not(None)
    made = select(func.count()).where(dispatches.c.event_id == events.c.id).scalar_subquery()
    return raw * (1 + case((parsed, 1), else_=0) + made)


def _delete_seen(conn: Connection, now: int) -> int:
    return _delete_expired(conn, now, seen) + _delete_expired(conn, now, acceptances)


def _delete_expired(conn: Connection, now: int, table: Table) -> int:
    keys = list(conn.execute(select(table.c.key).where(table.c.expires_at <= now).limit(MOST)).scalars())
    if keys:
        conn.execute(delete(table).where(table.c.key.in_(keys)))
    return len(keys)
