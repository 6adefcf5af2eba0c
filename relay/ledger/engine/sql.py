"""The few places where the two databases are spoken to differently, and the way in for many rows."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, Final, TypeVar, cast

from sqlalchemy import BindParameter, Connection, Dialect, Table, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

Upsert = postgresql.Insert | sqlite.Insert
Row = dict[str, Any]
Found = Mapping[Any, Any]
"""A row as it was read, by the names of its columns."""
Columns = Mapping[str, Sequence[Any]]
"""Rows, column by column: a list per column takes half the time of a mapping per row."""

T = TypeVar("T")

_POSTGRES: Final = "postgresql"


def is_alone(conn: Connection) -> bool:
    """Whether this connection is the only one that writes (SQLite): what it sees is what is committed."""
    return conn.dialect.name != _POSTGRES


def upsert(dialect: str, table: Table) -> Upsert:
    """An INSERT that takes `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if dialect == _POSTGRES else sqlite.insert(table)


def constant(value: str) -> BindParameter[str]:
    """A value that stands in the statement itself: an index with a condition is found only so, and else all is read."""
    return literal(value, literal_execute=True)


@cache
def keep_first(table: Table, dialect: str) -> Upsert:
    """An INSERT that leaves a row that is there already as it is."""
    return upsert(dialect, table).on_conflict_do_nothing()


def insert_many(conn: Connection, statement: UpdateBase, columns: Columns) -> int:
    """Execute an INSERT for each row of the columns, which are named as the statement's parameters.

    Gives how many rows were written, -1 where the driver does not tell (asyncpg). The statement is compiled once and
    its parameters go to the driver as they are, which takes a third of the time of `Connection.execute` with a list;
    columns without a value are left out, because a null takes the drivers as long as a text. Keep the statement in
    a constant: it is the key of the cache.
    """
    given = {name: column for name, column in columns.items() if column and not _is_null(column)}
    if not given:
        return 0
    text, places = _inserting(statement, tuple(given), conn.dialect)
    return _send_many(conn, text, list(zip(*[given[place] for place in places], strict=True)))


def _is_null(column: Sequence[Any]) -> bool:
    return column[0] is None and column.count(None) == len(column)


def write_many(conn: Connection, statement: UpdateBase, rows: Sequence[Row]) -> None:
    """Execute for each row; all have the same keys, the names of the statement's parameters. As `insert_many`."""
    if rows:
        text, values = _compiled(statement, tuple(rows[0]), conn.dialect)
        _send_many(conn, text, [values(row) for row in rows])


def run(conn: Connection, statement: ClauseElement, values: Row | None = None) -> Sequence[Found]:
    """Execute once, past what `Connection.execute` does anew each time, which is most of its cost.

    `values` are all of the statement's parameters by name; a list is for IN (...) and should be `padded`. Gives the
    rows, if it has any; booleans in them are 0 and 1 on SQLite. Keep the statement in a constant, as for `write_many`.
    """
    given = values or {}
    sizes = tuple((name, len(value)) for name, value in given.items() if isinstance(value, list))
    text, flatten = _flat(statement, sizes, tuple(given), conn.dialect)
    return send(conn, text, flatten(given))


def scalar(conn: Connection, statement: ClauseElement, values: Row | None = None) -> Any:
    """The one column of the one row, as `run`."""
    [row] = run(conn, statement, values)
    [value] = row.values()
    return value


def send(conn: Connection, text: str, values: Sequence[Any] = ()) -> Sequence[Found]:
    """A statement as its driver takes it, and the rows that it gives.

    To SQLite it goes past SQLAlchemy, through which a small one takes eight times as long.
    """
    if not is_alone(conn):
        result = conn.exec_driver_sql(text, tuple(values))
        return result.mappings().all() if result.returns_rows else ()
    try:
        cursor = driver(conn).execute(text, values)
        rows = cursor.fetchall()
    except sqlite3.Error as error:
        raise _told(text, error) from error
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _send_many(conn: Connection, text: str, rows: list[tuple[Any, ...]]) -> int:
    if not is_alone(conn):
        return conn.exec_driver_sql(text, rows).rowcount
    try:
        return driver(conn).executemany(text, rows).rowcount
    except sqlite3.Error as error:
        raise _told(text, error) from error


def driver(conn: Connection) -> sqlite3.Connection:
    """SQLite's own connection under SQLAlchemy's."""
    return cast(sqlite3.Connection, conn.connection.dbapi_connection)


def _told(text: str, error: sqlite3.Error) -> BaseException:
    """The driver's error as SQLAlchemy's, which tells what went wrong without the values."""
    return DBAPIError.instance(text, None, error, sqlite3.Error, hide_parameters=True)


@lru_cache(maxsize=256)
def _flat(
    statement: ClauseElement, sizes: tuple[tuple[str, int], ...], names: tuple[str, ...], dialect: Dialect
) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what queries and changes compile to
    lists = dict(sizes)
    shape = {name: [""] * lists[name] if name in lists else None for name in names}
    state = compiled.construct_expanded_state(shape)
    fixed = {name: value for name, value in state.parameters.items() if name not in names}
    places = state.positiontup or ()
    parts = {part: (name, at) for name, each in state.parameter_expansion.items() for at, part in enumerate(each)}

    def flatten(values: Row) -> tuple[Any, ...]:
        found = fixed | values
        for part, (name, at) in parts.items():
            found[part] = values[name][at]
        return tuple([found[place] for place in places])

    return state.statement, flatten


@lru_cache(maxsize=256)
def _compiled(
    statement: UpdateBase, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    places: list[str] = list(compiled.positiontup or ())
    fixed = {name: value for name, value in compiled.params.items() if name not in names}
    pick = itemgetter(*places)
    if fixed:
        return str(compiled), lambda row: pick(fixed | row)
    return str(compiled), pick


@lru_cache(maxsize=256)
def _inserting(statement: UpdateBase, names: tuple[str, ...], dialect: Dialect) -> tuple[str, list[str]]:
    """The text of an INSERT of these columns, and the names of its parameters in their order."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    return str(compiled), list(compiled.positiontup or ())


def padded(items: Iterable[T]) -> list[T]:
    """The items, the last one repeated up to a power of two, for IN (...).

    Each length is another statement to compile, prepare and keep; this way there are about ten of them.
    """
    known = list(items)
    if not known:
        return known
    return known + known[-1:] * ((1 << (len(known) - 1).bit_length()) - len(known))
