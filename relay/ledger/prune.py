"""Deletes what is past its time, in turns of 500 rows, so that no writer waits long."""

from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, or_, select

from relay.ledger import refused, suspects
from relay.ledger.schema import attempts, dispatches, events, leases, outbox, results, seen, slots, work
from relay.ledger.terms import Terms
from relay.model import EventStatus, State

MOST: Final = 500
_STALE: Final = 3_600_000


def prune(conn: Connection, now: int, *, terms: Terms) -> int:
    """One turn; how many rows of events, seen ids and kept requests were deleted."""
    own = events.c.source.in_(terms.retain_of)
    gone = _delete_events(conn, _finished(now - terms.retain, ~own if terms.retain_of else None))
    for source, retain in terms.retain_of.items():
        gone += _delete_events(conn, _finished(now - retain, events.c.source == source))
    gone += _delete_events(conn, _unmatched(conn, now, terms))
    gone += _delete_seen(conn, now)
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
    return select(events.c.id).where(old, ~kept).order_by(events.c.id).limit(MOST)


def _is_to_be_told() -> ColumnElement[bool]:
    return exists().where(results.c.event_id == events.c.id, outbox.c.result_id == results.c.id)


def _unmatched(conn: Connection, now: int, terms: Terms) -> Select[tuple[str]]:
    unmatched = events.c.status == EventStatus.UNMATCHED.value
    newest = select(events.c.id).where(unmatched).order_by(events.c.id.desc()).offset(terms.max_unmatched).limit(1)
    surplus = conn.execute(newest).scalar()
    old = _before(now - terms.retain_unmatched)
    over = old if surplus is None else old | (events.c.id <= surplus)
    return select(events.c.id).where(unmatched, over, ~_is_to_be_told()).order_by(events.c.id).limit(MOST)


def _delete_events(conn: Connection, chosen: Select[tuple[str]]) -> int:
    ids = list(conn.execute(chosen).scalars())
    if not ids:
        return 0
    made = select(dispatches.c.id).where(dispatches.c.event_id.in_(ids))
    conn.execute(delete(attempts).where(attempts.c.dispatch_id.in_(made)))
    conn.execute(delete(dispatches).where(dispatches.c.event_id.in_(ids)))
    conn.execute(delete(results).where(results.c.event_id.in_(ids)))
    conn.execute(delete(events).where(events.c.id.in_(ids)))
    return len(ids)


def _delete_seen(conn: Connection, now: int) -> int:
    keys = list(conn.execute(select(seen.c.key).where(seen.c.expires_at <= now).limit(MOST)).scalars())
    if keys:
        conn.execute(delete(seen).where(seen.c.key.in_(keys)))
    return len(keys)
