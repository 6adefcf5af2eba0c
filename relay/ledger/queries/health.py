"""How the database stands: size, indexes, dead rows, and what came and was made lately. Reads only, never all rows."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from relay.ledger.engine import migrate
from relay.ledger.queries import browse, rates
from relay.ledger.schema import dispatches, events, metadata
from relay.model import LedgerHealth, Why

NEWEST: Final = 20_000
"""Dispatches that are looked at for rules that make none: no index leads to the dispatches of a rule."""
_DAY: Final = 86_400_000
_SKIPS: Final = frozenset(str(why) for why in Why)
_HERE: Final = "relnamespace = current_schema()::regnamespace"
_SIZE: Final = f"SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r' AND {_HERE}"  # noqa: S608
_BROKEN: Final = (
    "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "  # noqa: S608
    f"WHERE c.{_HERE} AND NOT (i.indisvalid AND i.indisready)"
)
_INDEXES: Final = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
_BLOATED: Final = (
    "SELECT relname FROM pg_stat_user_tables WHERE schemaname = current_schema() "
    "AND n_dead_tup > 100000 AND n_dead_tup > n_live_tup"
)


def inspect(conn: Connection, now: int, *, sources: Sequence[str]) -> LedgerHealth:
    """How the ledger stands. A ledger without tables has only a size."""
    about = _server(conn) if conn.dialect.name == "postgresql" else _file(conn)
    pending = tuple(migrate.pending(conn))
    if pending:
        return LedgerHealth(now=now, oldest=None, pending=pending, **about)
    oldest = conn.execute(select(events.c.received_at).order_by(events.c.id).limit(1)).scalar()
    newest = (
        select(dispatches.c.rule, dispatches.c.created_at).order_by(dispatches.c.id.desc()).limit(NEWEST).subquery()
    )
    rows = conn.execute(
        select(newest.c.rule, func.count(), func.min(newest.c.created_at)).group_by(newest.c.rule)
    ).all()
    return LedgerHealth(
        now=now,
        oldest=oldest,
        missing=tuple(sorted(_wanted(postgresql=conn.dialect.name == "postgresql") - _present(conn))),
        last=browse.last_events(conn, now, sources=sources),
        recent={row[0]: row[1] for row in rows},
        looked_at=sum(row[1] for row in rows),
        since=min((row[2] for row in rows), default=None),
        skipped=_skipped(conn, now),
        **about,
    )


def _skipped(conn: Connection, now: int) -> frozenset[str]:
    """The rules that skipped an event within a day, by the counts of its minutes."""
    totals = rates.totals(conn, now, kind="rule", since=now - _DAY)
    return frozenset(rule for rule, measured in totals.items() if not _SKIPS.isdisjoint(measured.counts))


def _wanted(*, postgresql: bool) -> set[str]:
    """The names of all indexes of the schema. Those of a kind of its own (`using`) only PostgreSQL has."""
    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    return {str(index.name) for index in indexes if postgresql or not index.dialect_options["postgresql"]["using"]}


def _present(conn: Connection) -> set[str]:
    sql = _INDEXES if conn.dialect.name == "postgresql" else "SELECT name FROM sqlite_master WHERE type = 'index'"
    return _names(conn, sql)


def _server(conn: Connection) -> dict[str, Any]:
    return {
        "server": f"PostgreSQL {conn.execute(text('SHOW server_version')).scalar_one()}",
        "size": int(conn.execute(text(_SIZE)).scalar_one()),
        "spare": 0,
        "broken": tuple(sorted(_names(conn, _BROKEN))),
        "bloated": tuple(sorted(_names(conn, _BLOATED))),
    }


def _file(conn: Connection) -> dict[str, Any]:
    page, pages, free = (
        conn.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("page_size", "page_count", "freelist_count")
    )
    version = conn.execute(text("SELECT sqlite_version()")).scalar_one()
    return {"server": f"SQLite {version}", "size": page * pages, "spare": page * free}


def _names(conn: Connection, sql: str) -> set[str]:
    return {str(row[0]) for row in conn.execute(text(sql))}
