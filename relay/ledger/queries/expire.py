"""Ends dispatches that have waited too long for their turn (`expires` of their rule). A claim that meets one ends it as
well (`withhold`)."""

from typing import Final

from sqlalchemy import Connection, bindparam, or_, select

from relay.ledger.engine.sql import padded, run
from relay.ledger.queries import record
from relay.ledger.queries.rows import about_of, dispatch_of
from relay.ledger.queries.work import news
from relay.ledger.schema import work
from relay.ledger.terms import Terms
from relay.model import Dispatch, Failure, Move, State, tell

_MOST: Final = 200
_IS_LATE: Final = (
    work.c.expires_at <= bindparam("now"),
    work.c.first_attempt_at.is_(None),
    or_(work.c.state == State.READY.value, work.c.state == State.HELD.value, work.c.follows),
)
_FIRST: Final = select(work.c.dispatch_id).where(*_IS_LATE).order_by(work.c.expires_at).limit(_MOST)
_OVER: Final = (
    select(work.c.dispatch_id, work.c.run, work.c.state, work.c.fence, work.c.attempts)
    .where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)), *_IS_LATE)
    .order_by(work.c.dispatch_id)
    .with_for_update(skip_locked=True)
)
"""Locked in the order of ids, and judged again: one may have been claimed meanwhile."""
TOO_LATE: Final = Failure(State.EXPIRED.value, "it waited longer for its turn than its rule lets it (expires)")


def expire(conn: Connection, now: int, *, terms: Terms) -> list[Dispatch]:
    """End a bounded number of them. Returns them.

    A dispatch whose first call has begun is left alone, also when that call was given back or is tried again.
    """
    first = conn.execute(_FIRST, {"now": now}).scalars().all()
    rows = run(conn, _OVER, {"now": now, "ids": padded(first)}) if first else ()
    news_rows = news(conn, [row["dispatch_id"] for row in rows])
    moves, dispatches = [], []
    for row in rows:
        if (news_row := news_rows.get(row["dispatch_id"])) is None:
            continue
        dispatches.append(dispatch_of(news_row))
        result = tell.failed(about_of(news_row), dispatches[-1], TOO_LATE, attempts=0, now=now)
        was = State(row["state"])
        moves.append(
            Move(row["dispatch_id"], row["run"], was, State.EXPIRED, row["fence"], failure=TOO_LATE, results=(result,))
        )
    record.record(conn, now, [record.Recording(move) for move in moves], terms=terms)
    return dispatches
