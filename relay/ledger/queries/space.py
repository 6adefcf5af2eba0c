"""What keeps a database from giving back room: on SQLite free pages of the file, on PostgreSQL old transactions."""

from typing import Final

from sqlalchemy import Connection

from relay.ledger.engine.sql import driver, is_alone, send

PAGES: Final = 500
"""Pages that one turn gives back, 2 MiB: each is moved, while nothing else is written."""
_SPARE: Final = 4
"""A file keeps a quarter of its pages free: the next events fill them, and growing again would cost more."""
_OLDEST: Final = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - began)), 0)::float8 AS seconds FROM (
      SELECT xact_start AS began FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      UNION ALL SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()
    ) AS transactions
"""


def shrink(conn: Connection, _now: int) -> bool:
    """Give some free pages of a SQLite file back to the file system. Returns whether there are more to give."""
    if not is_alone(conn) or not _surplus(conn):
        return False
    for _ in range(PAGES):  # asked for more at once, it still frees one: Python's sqlite3 takes its first step only
        driver(conn).execute("PRAGMA incremental_vacuum(1)")
    return _surplus(conn)


def _surplus(conn: Connection) -> bool:
    [[free], [pages]] = [driver(conn).execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count")]
    return bool(free > max(PAGES, pages // _SPARE))


def oldest_transaction(conn: Connection) -> int:
    """The age of the oldest open transaction on PostgreSQL, in milliseconds; 0 for none, and on SQLite.

    Of other roles it is seen only by a member of `pg_read_all_stats`.
    """
    if is_alone(conn):
        return 0
    [row] = send(conn, _OLDEST)
    return max(0, int(row["seconds"] * 1_000))
