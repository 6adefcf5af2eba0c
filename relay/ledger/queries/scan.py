"""Pages of events, newest first. Where no index finds them, a page is looked for no longer than it may take.

What is rare would else be looked for in all events at once: for as long as there are events, and over all their bodies.
So such a page may have fewer events than it could, none even, and its cursor goes on where it stopped.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, select

from relay.ledger.engine.sql import Found
from relay.ledger.queries.search import is_scanned, named, newest, oldest_id, onward
from relay.ledger.schema import events
from relay.model import EventQuery

LEAST: Final = 1_000
"""Events that the first statement looks at. Bodies may be large, so the next ones look at more only if it was quick."""
MOST: Final = 20_000
LONG: Final = 0.05
"""Seconds after which a page stops at the end of a statement."""
_TOP: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""No id is above it."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """The rows of a page. `cursor` is None at the end; `stopped` is the id at which the page stopped looking."""

    rows: Sequence[Found]
    cursor: str | None
    stopped: str | None = None


def find(conn: Connection, query: EventQuery) -> Scanned:
    """The events of one page."""
    if not is_scanned(query):
        return _cut(conn.execute(newest(conn, query).limit(query.limit + 1)).mappings().all(), query.limit)
    # An id is found by its index, so its event comes first, and among the others it is not told again.
    # A chat may belong to the many events of a thread: more than a page of them is listed in order, as all others.
    own = conn.execute(named(conn, query, query.limit + 1)).mappings().all() if query.text else []
    own = own if len(own) <= query.limit else []
    first = own if query.cursor is None else []
    if len(first) == query.limit:
        return Scanned(first, _TOP)
    others = replace(query, limit=query.limit - len(first))
    found = _look(conn, others, [row["id"] for row in own])
    return replace(found, rows=[*first, *found.rows])


def find_newer(conn: Connection, query: EventQuery, cursor: str) -> str | None:
    """The cursor of the page before the one at `cursor`, None where that is the newest page.

    Where no index finds the events it looks no longer than a page: that page may then have fewer events, or some of
    the next one.
    """
    most, found = query.limit + 1, list[str]()
    size, began = LEAST, time.monotonic()
    while True:
        end = _next_of(conn, query, cursor, size) if is_scanned(query) else None
        found += conn.execute(onward(conn, query, cursor, end).limit(most - len(found))).scalars()
        if len(found) == most:
            return found[-1]
        took = time.monotonic() - began
        if end is None or took > LONG:
            return end
        cursor, size = end, min(MOST, size * 2) if took < LONG / 4 else size


def _next_of(conn: Connection, query: EventQuery, first: str, size: int) -> str | None:
    """The id before which `size` events are from this one on; None when there are no more of them."""
    ids = select(events.c.id).where(events.c.id >= first).order_by(events.c.id).offset(size).limit(1)
    if query.source is not None:
        ids = ids.where(events.c.source == query.source)
    end: str | None = conn.execute(ids).scalar()
    return end


def _look(conn: Connection, query: EventQuery, known: Sequence[str]) -> Scanned:
    rows: list[Found] = []
    size, began = LEAST, time.monotonic()
    while True:
        last = _last_of(conn, query, size)
        some = newest(conn, query, last).where(events.c.id.not_in(known))
        rows += conn.execute(some.limit(query.limit + 1 - len(rows))).mappings().all()
        if last is None or len(rows) > query.limit:
            return _cut(rows, query.limit)
        took = time.monotonic() - began
        if took > LONG:
            return Scanned(rows, last, stopped=last)
        query = replace(query, cursor=last)
        size = min(MOST, size * 2) if took < LONG / 4 else size


def _last_of(conn: Connection, query: EventQuery, size: int) -> str | None:
    """The id of the last of the next `size` events; None when there are no more of them."""
    ids = select(events.c.id).order_by(events.c.id.desc()).offset(size - 1).limit(1)
    if query.source is not None:
        ids = ids.where(events.c.source == query.source)
    if query.cursor is not None:
        ids = ids.where(events.c.id < query.cursor)
    if query.since is not None:
        ids = ids.where(events.c.id >= oldest_id(query.since))
    last: str | None = conn.execute(ids).scalar()
    return last


def _cut(rows: Sequence[Found], limit: int) -> Scanned:
    """One row more than a page tells that there is a next page."""
    return Scanned(rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None)
