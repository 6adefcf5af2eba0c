"""Shares a backlog between sources, so that one that floods does not starve another.

While fewer are due than a claim asks for, all are claimed and nothing here is asked. Otherwise sources take turns.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, func, literal_column, select, text, true, tuple_, union_all
from sqlalchemy.sql import ColumnElement

from relay.ledger.engine.sql import Found, is_alone, run
from relay.ledger.schema import RANK, work

_STEP: Final = 60_000
"""Milliseconds of waiting that count as one step of priority."""
_PRIORITIES: Final = range(10)
_TURN: Final = text(f"due_at - {_STEP} * priority, dispatch_id")

_IS_DUE: Final = work.c.due_at <= bindparam("now")


def due(source: ColumnElement[str] | None = None) -> Select[Any]:
    """The first `most` rows of `work` that can be claimed `now`, in their order, of a source or of all.

    They are locked, but for those that another transaction has locked.

    Each priority is asked for its first ones, since among its rows that order is the order of `due_at`. So an index
    ends with what is due: of a million dispatches that a delay holds, none is read.
    """
    columns = (work.c.dispatch_id, work.c.priority, work.c.due_at)
    first = [
        select(*columns)
        .where(*_of_priority(priority, source), _IS_DUE)
        .order_by(work.c.due_at, work.c.dispatch_id)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
        .subquery(f"of_{priority}")
        for priority in _PRIORITIES
    ]
    return select(union_all(*map(select, first)).subquery("first")).order_by(_TURN).limit(bindparam("most"))


def _of_priority(priority: int, source: ColumnElement[str] | None) -> Sequence[ColumnElement[bool]]:
    """The rows of one priority, in the words of the index that is to be used.

    Left to choose, PostgreSQL may look for those of a source among all that others have due.
    """
    if source is None:
        return (literal_column(RANK) == literal_column(str(_PRIORITIES[-1] - priority)),)
    return work.c.source == source, work.c.priority == literal_column(str(priority))


_FIRST: Final = (
    select(func.min(work.c.source).label("source")).where(work.c.due_at.is_not(None)).cte("sources", recursive=True)
)
_NEXT: Final = (
    select(func.min(work.c.source)).where(work.c.due_at.is_not(None), work.c.source > _FIRST.c.source).scalar_subquery()
)
_CTE: Final = _FIRST.union_all(select(_NEXT).where(_FIRST.c.source.is_not(None)))
_SOURCES: Final = select(_CTE.c.source).where(_CTE.c.source.is_not(None))
"""One step through the index for each source, however many rows it has."""
_HEADS_OF: Final = due(bindparam("source"))

_PAIR: Final = (
    select(work.c.source, work.c.priority)
    .where(work.c.due_at.is_not(None))
    .order_by(work.c.source, work.c.priority)
    .limit(literal_column("1"))
)
_FIRST_PAIR: Final = select(_PAIR.subquery("first")).cte("pairs", recursive=True)
_NEXT_PAIR: Final = _PAIR.where(
    tuple_(work.c.source, work.c.priority) > tuple_(_FIRST_PAIR.c.source, _FIRST_PAIR.c.priority)
).lateral("next")
_PAIRS: Final = _FIRST_PAIR.union_all(select(_NEXT_PAIR).select_from(_FIRST_PAIR.join(_NEXT_PAIR, true())))
"""One step through the index for each priority that a source has."""
_EACH: Final = (
    select(work.c.due_at)
    .where(work.c.source == _PAIRS.c.source, work.c.priority == _PAIRS.c.priority, _IS_DUE)
    .order_by(work.c.due_at, work.c.dispatch_id)
    .limit(bindparam("most"))
    .lateral("heads")
)
_HEADS_OF_ALL: Final = select(_PAIRS.c.source, _PAIRS.c.priority, _EACH.c.due_at).select_from(
    _PAIRS.join(_EACH, true())
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
