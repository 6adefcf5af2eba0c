"""Acts: what people did by hand, written in the transaction that does it."""

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, delete, insert, select

from relay.ledger.engine.commit import Work
from relay.ledger.engine.sql import Found
from relay.ledger.schema import acts
from relay.ledger.terms import Terms
from relay.model import Act, ActPage, Deed, new_id

T = TypeVar("T")

MOST: Final = 500
"""Acts that one turn of pruning deletes."""

_NEWEST: Final = select(acts).order_by(acts.c.id.desc())


def noted(operation: Work[T], deed: Deed | None, event_of: Callable[[T], str | None] = lambda _: None) -> Work[T]:
    """The operation with its act, in one transaction. An operation that gives False did nothing: then there is none.

    `event_of` gives the event that the act belongs to.
    """

    def act(conn: Connection, now: int) -> T:
        answer = operation(conn, now)
        if deed is not None and answer is not False:
            note(conn, now, deed=deed, event_id=event_of(answer))
        return answer

    return act


def note(conn: Connection, now: int, *, deed: Deed, event_id: str | None = None) -> None:
    """Add an act."""
    row = {"id": new_id(), "at": now, "actor": deed.actor, "act": str(deed.act), "target": deed.target}
    conn.execute(insert(acts), {**row, "detail": deed.detail, "event_id": event_id})


def page(conn: Connection, _now: int, *, cursor: str | None, limit: int) -> ActPage:
    """A page of acts, newest first."""
    newest = _NEWEST if cursor is None else _NEWEST.where(acts.c.id < cursor)
    rows = conn.execute(newest.limit(limit + 1)).mappings().all()
    shown = tuple(_act(row) for row in rows[:limit])
    return ActPage(shown, shown[-1].id if len(rows) > limit else None)


def of_event(conn: Connection, event_id: str) -> tuple[Act, ...]:
    """The acts that belong to an event, oldest first."""
    found = select(acts).where(acts.c.event_id == event_id).order_by(acts.c.id)
    return tuple(_act(row) for row in conn.execute(found).mappings())


def expire(conn: Connection, now: int, *, terms: Terms) -> int:
    """Delete acts older than `remember`. Returns how many."""
    old = select(acts.c.id).where(acts.c.at < now - terms.remember).limit(MOST)
    return conn.execute(delete(acts).where(acts.c.id.in_(old))).rowcount


def _act(row: Found) -> Act:
    return Act(row["id"], row["at"], row["actor"], row["act"], row["target"], row["detail"], row["event_id"])
