"""Problems as people see them: pages, acknowledging and resolving by hand, pruning."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, delete, exists, select, update

from relay.errors import Conflict, NotFound
from relay.ledger.engine.sql import Found, upsert
from relay.ledger.queries import outbox as outbox_queries
from relay.ledger.queries.rows import encode
from relay.ledger.schema import alerts, leases, outbox, problems, results
from relay.ledger.terms import Terms
from relay.model import Problem, ProblemKey, ProblemKind, ProblemPage, ProblemQuery, ProblemState, SpendingLevel

MOST: Final = 500
"""Problems that one turn of pruning deletes."""
APART: Final = 600_000
"""The least time between two messages about the same problem, in milliseconds."""

_STALE: Final = 2 * 3_600_000
"""Milliseconds after which an alert is dropped. It is tried for an hour."""
_NEWEST: Final = select(problems).order_by(problems.c.id.desc())


def enter(conn: Connection, now: int) -> None:
    """Let one transaction at a time change problems, until its end. Nothing but the lock is made of this row."""
    put = upsert(conn.dialect.name, leases).values(name="problems", owner="", until=now)
    conn.execute(put.on_conflict_do_update(index_elements=[leases.c.name], set_={"until": put.excluded.until}))


def hash_of(key: ProblemKey) -> bytes:
    """The hash under which a key is unique. The code of a budget says how far it is used, so it is none of it."""
    code = None if key.kind is ProblemKind.BUDGET else key.code
    return sha256(encode([str(key.kind), key.source, key.rule, code, key.detail]).encode()).digest()


def is_spent(key: ProblemKey) -> bool:
    """Whether it says that a budget is used up, which is told at once."""
    return key.kind is ProblemKind.BUDGET and key.code == SpendingLevel.SPENT


def problem_of(row: Found) -> Problem:
    """The problem of a row."""
    return Problem(
        row["id"],
        ProblemKey(ProblemKind(row["kind"]), row["source"], row["rule"], row["code"], row["detail"]),
        ProblemState(row["state"]),
        row["count"],
        row["first_at"],
        row["last_at"],
        row["acknowledged_by"],
        row["event_id"],
        row["dispatch_id"],
    )


def tell_resolved_at(row: Found, now: int) -> int | None:
    """When it is told that a problem was resolved; None where nobody was told that it was opened."""
    if row["told"] is None:
        return None
    return now if row["kind"] == ProblemKind.BUDGET else max(now, row["told_at"] + APART)


def page(conn: Connection, _now: int, *, query: ProblemQuery) -> ProblemPage:
    """A page of problems, those opened last first."""
    equal = {"kind": query.kind, "state": query.state, "source": query.source, "rule": query.rule}
    conditions = [problems.c[name] == str(value) for name, value in equal.items() if value is not None]
    if query.cursor is not None:
        conditions.append(problems.c.id < query.cursor)
    rows = conn.execute(_NEWEST.where(*conditions).limit(query.limit + 1)).mappings().all()
    shown = tuple(problem_of(row) for row in rows[: query.limit])
    return ProblemPage(shown, shown[-1].id if len(rows) > query.limit else None)


def acknowledge(conn: Connection, now: int, *, problem_id: str, actor: str) -> Problem:
    """Note that a person has seen a problem. Raises NotFound, and Conflict when it is resolved."""
    row = _locked(conn, now, problem_id)
    if why := problem_of(row).why_not_acknowledged():
        raise Conflict(why)
    return _change(conn, row, {"state": ProblemState.ACKNOWLEDGED.value, "acknowledged_by": actor})


def resolve(conn: Connection, now: int, *, problem_id: str) -> Problem:
    """Resolve a problem by hand. Raises NotFound, and Conflict when it is resolved or its cause still lasts."""
    row = _locked(conn, now, problem_id)
    if why := problem_of(row).why_not_resolved():
        raise Conflict(why)
    state = {"state": ProblemState.RESOLVED.value, "resolved_at": now, "tell_at": tell_resolved_at(row, now)}
    return _change(conn, row, state)


def load(conn: Connection, _now: int, *, problem_id: str) -> Problem:
    """One problem. Raises NotFound."""
    return problem_of(_find(conn, problem_id))


def _locked(conn: Connection, now: int, problem_id: str) -> Found:
    enter(conn, now)
    return _find(conn, problem_id)


def _find(conn: Connection, problem_id: str) -> Found:
    row = conn.execute(select(problems).where(problems.c.id == problem_id)).mappings().first()
    if row is None:
        raise NotFound(f"there is no problem {problem_id} in the ledger (it may have been pruned)")
    return row


def _change(conn: Connection, row: Found, changes: dict[str, object]) -> Problem:
    conn.execute(update(problems).where(problems.c.id == row["id"]).values(changes))
    return problem_of({**row, **changes})


def expire(conn: Connection, now: int, *, terms: Terms) -> int:
    """Delete problems that were resolved longer than `retain` ago, with the messages about them. Returns how many."""
    conn.execute(delete(alerts).where(alerts.c.created_at < now - _STALE))  # nobody sends them any more
    undelivered = exists().where(results.c.event_id == problems.c.id, outbox.c.result_id == results.c.id)
    old = select(problems.c.id).where(
        problems.c.resolved_at.is_not(None), problems.c.resolved_at < now - terms.retain, ~undelivered
    )
    ids: Sequence[str] = list(conn.execute(old.where(problems.c.tell_at.is_(None)).limit(MOST)).scalars())
    if ids:
        outbox_queries.keep_top(conn)
        conn.execute(delete(results).where(results.c.event_id.in_(ids)))
        conn.execute(delete(problems).where(problems.c.id.in_(ids)))
    return len(ids)
