"""Results as people look at them: those told last, and those that wait to be."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select

from relay.ledger.engine.sql import Found, by_index, padded, run
from relay.ledger.engine.vault import vault_of
from relay.ledger.queries.rows import result_of
from relay.ledger.schema import outbox, results
from relay.model import ResultPage, ResultView

_LAST: Final = (1 << 63) - 1
_BEFORE: Final = (
    select(results)
    .where(results.c.position < bindparam("before"))
    .order_by(results.c.position.desc())
    .limit(bindparam("most"))
)
_FIRST: Final = select(outbox.c.result_id).order_by(outbox.c.due_at, outbox.c.result_id).limit(bindparam("most"))
_WAITING: Final = (
    select(results)
    .where(results.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(results.c.created_at, results.c.id)
)
"""By their ids: of a join with the few of `outbox` PostgreSQL would read all results."""
_PENDING: Final = select(outbox.c.result_id, outbox.c.destination, outbox.c.error).where(
    outbox.c.result_id.in_(bindparam("ids", expanding=True))
)


def page(conn: Connection, _now: int, *, before: int | None, limit: int) -> ResultPage:
    """Results before a cursor of the stream, the newest first."""
    by_index(conn)
    rows = run(conn, _BEFORE, {"before": _LAST if before is None else before, "most": limit + 1})
    shown = rows[:limit]
    return ResultPage(views(conn, shown), shown[-1]["position"] if len(rows) > limit else None)


def waiting(conn: Connection, _now: int, *, limit: int) -> ResultPage:
    """Results that a destination has not confirmed: those that are due first."""
    ids = {row["result_id"] for row in run(conn, _FIRST, {"most": limit})}
    return ResultPage(views(conn, run(conn, _WAITING, {"ids": padded(sorted(ids))}) if ids else ()), None)


def views(conn: Connection, rows: Sequence[Found]) -> tuple[ResultView, ...]:
    """Rows of `results`, with where they still must go."""
    pending: defaultdict[str, dict[str, str | None]] = defaultdict(dict)
    for row in run(conn, _PENDING, {"ids": padded([row["id"] for row in rows])}) if rows else ():
        pending[row["result_id"]][row["destination"]] = row["error"]
    vault = vault_of(conn)
    return tuple(
        ResultView(
            result_of(row, vault),
            pending[row["id"]],
            row["created_at"],
            tuple(json.loads(row["undeliverable"] or "[]")),
        )
        for row in rows
    )
