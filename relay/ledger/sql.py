"""The few places where the two databases are spoken to differently."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Upsert = postgresql.Insert | sqlite.Insert
Row = dict[str, Any]
T = TypeVar("T")

_POSTGRES: Final = "postgresql"


def is_alone(conn: Connection) -> bool:
    """Whether this connection is the only one that writes (SQLite): what it sees is what is committed."""
    return conn.dialect.name != _POSTGRES


def upsert(conn: Connection, table: Table) -> Upsert:
    """An INSERT that takes `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return sqlite.insert(table) if is_alone(conn) else postgresql.insert(table)


def padded(items: Iterable[T]) -> list[T]:
    """The items, the last one repeated up to a power of two, for IN (...).

    Each length is another statement to compile, prepare and keep; this way there are about ten of them.
    """
    known = list(items)
    if not known:
        return known
    return known + known[-1:] * ((1 << (len(known) - 1).bit_length()) - len(known))
