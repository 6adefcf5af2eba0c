"""Shares a backlog between sources, so that one that floods does not starve another.

While fewer are due than a claim asks for, all are claimed and nothing here is asked. Otherwise sources take turns.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, func, or_, select, text, true
from sqlalchemy.sql import ColumnElement

from relay.ledger.engine.sql import Found, is_alone, run
from relay.ledger.schema import TURN, work

_STEP: Final = 60_000
"""Milliseconds of waiting that count as one step of priority."""


def due(*columns: ColumnElement[Any]) -> Select[Any]:
    """Rows of `work` that can be claimed, in their order. Its parameter is `now`."""
    return (
        select(*columns)
        .where(
            work.c.due_at <= bindparam("now"),
            # A dispatch that has waited too long is ended by `expire`, and must not be sent meanwhile.
            or_(
                work.c.expires_at.is_(None), work.c.expires_at > bindparam("now"), work.c.first_attempt_at.is_not(None)
            ),
        )
        .order_by(text(TURN), work.c.dispatch_id)
    )


def of_source(rows: Select[Any], source: ColumnElement[str]) -> Select[Any]:
    """Of such rows those of one source.

    By a range, in whose order the source stands too: for an equation PostgreSQL may choose the index of the turns of
    all sources, and look through all that others have due.
    """
    own = rows.where(work.c.source >= source, work.c.source <= source).order_by(None)
    return own.order_by(work.c.source, text(TURN), work.c.dispatch_id)


_FIRST: Final = (
    select(func.min(work.c.source).label("source")).where(work.c.due_at.is_not(None)).cte("sources", recursive=True)
)
_NEXT: Final = (
    select(func.min(work.c.source)).where(work.c.due_at.is_not(None), work.c.source > _FIRST.c.source).scalar_subquery()
)
_CTE: Final = _FIRST.union_all(select(_NEXT).where(_FIRST.c.source.is_not(None)))
_SOURCES: Final = select(_CTE.c.source).where(_CTE.c.source.is_not(None))
"""One step through the index for each source, however many rows it has."""
_HEADS: Final = due(work.c.priority, work.c.due_at).limit(bindparam("most"))
_HEADS_OF: Final = of_source(_HEADS, bindparam("source"))
_EACH: Final = of_source(_HEADS, _CTE.c.source).lateral("heads")
_HEADS_OF_ALL: Final = (
    select(_CTE.c.source, _EACH.c.priority, _EACH.c.due_at)
    .select_from(_CTE.join(_EACH, true()))
    .where(_CTE.c.source.is_not(None))
)

Heads = Mapping[str, Sequence[Found]]
"""The first due rows of each source, in their order: `priority` and `due_at`."""


class Turns:
    """Which source has the next turn at this replica.

    It is kept in memory: after a restart the turns begin anew. What is claimed is decided by the ledger alone.
    """

    def __init__(self) -> None:
        self._is_behind = False
        self._served: dict[str, int] = {}
        self._number = 0

    def note(self, *, is_full: bool) -> None:
        """Whether a claim got all that it asked for, so that there may be more."""
        self._is_behind = is_full

    def share(self, conn: Connection, now: int, most: int) -> dict[str, int] | None:
        """How many to claim of each source; None where the order of all of them decides, since they have one source."""
        if not self._is_behind:
            return None
        heads = _heads(conn, now, most)
        return self.divide(heads, most, now) if len(heads) > 1 else None

    def divide(self, heads: Heads, most: int, now: int) -> dict[str, int]:
        """Give `most` places to the sources of these rows, one after another.

        The highest priority goes first. Of equal ones that source goes whose last turn is longest ago; only for that
        one a minute of waiting counts as one step, because what a flood has to wait for is itself.
        """
        shares = dict.fromkeys(heads, 0)
        left = dict(heads)
        for _ in range(most):
            left = {source: rows for source, rows in left.items() if shares[source] < len(rows)}
            if not left:
                break
            longest_ago = min(self._served.get(source, 0) for source in left)
            chosen = min(left, key=lambda source: self._rank(source, left[source][shares[source]], longest_ago, now))
            shares[chosen] += 1
            self._number += 1
            self._served[chosen] = self._number
        return {source: share for source, share in shares.items() if share}

    def _rank(self, source: str, head: Found, longest_ago: int, now: int) -> tuple[int, int, int]:
        served = self._served.get(source, 0)
        waited = max(0, now - head["due_at"])
        step = head["priority"] + (waited // _STEP if served == longest_ago else 0)
        return -step, served, head["due_at"]


def _heads(conn: Connection, now: int, most: int) -> Heads:
    found = defaultdict[str, list[Found]](list)
    if is_alone(conn):  # SQLite knows no LATERAL, and asks itself without a round trip
        for row in run(conn, _SOURCES):
            found[row["source"]].extend(run(conn, _HEADS_OF, {"source": row["source"], "now": now, "most": most}))
    else:
        for row in run(conn, _HEADS_OF_ALL, {"now": now, "most": most}):
            found[row["source"]].append(row)
    return {source: sorted(rows, key=_turn) for source, rows in found.items() if rows}


def _turn(row: Found) -> int:
    return int(row["due_at"] - _STEP * row["priority"])
