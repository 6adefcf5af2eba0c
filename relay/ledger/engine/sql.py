"""The differences between the two databases, and fast ways to execute statements, for one row or for many."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, Final, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    BinaryExpression,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    LargeBinary,
    Table,
    all_,
    any_,
    bindparam,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement, operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.util import await_only

Upsert = postgresql.Insert | sqlite.Insert
Row = dict[str, Any]
Found = Mapping[Any, Any]
"""A row that was read, by column name."""
Columns = Mapping[str, Sequence[Any]]
"""Rows as a list per column, which takes half the time of a mapping per row."""

T = TypeVar("T")

_POSTGRES: Final = "postgresql"
_LONG: Final = 1_024
"""Items from which on a list goes as one parameter. A statement has at most 32,767 of them on both databases."""
OF_HEX: Final = "relay_of_hex"
"""A function for SQLite that every connection has: JSON has no bytes, and SQLite has `unhex` only from 3.41 on."""


def is_alone(conn: Connection) -> bool:
    """Whether this connection is the only writer (SQLite), so that what it reads is what is committed."""
    return conn.dialect.name != _POSTGRES


def upsert(dialect: str, table: Table) -> Upsert:
    """An INSERT that supports `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if dialect == _POSTGRES else sqlite.insert(table)


def by_index(conn: Connection) -> None:
    """Have the rest of the transaction read by an index what it orders by one, instead of sorting what it finds.

    PostgreSQL's statistics may be older than a column's values: then it takes all rows for one, and sorts that for each
    page (0.4 s where a million results had just got their cursors).
    """
    if not is_alone(conn):
        send(conn, "SET LOCAL enable_sort = off")


def constant(value: str) -> BindParameter[str]:
    """A value written into the statement's text.

    The planner uses a partial index only when it sees the value of its condition; with a parameter it reads all rows.
    """
    return literal(value, literal_execute=True)


@cache
def keep_first(table: Table, dialect: str) -> Upsert:
    """An INSERT that leaves an existing row unchanged."""
    return upsert(dialect, table).on_conflict_do_nothing()


def write_many(conn: Connection, statement: UpdateBase, rows: Sequence[Row]) -> None:
    """Execute a statement for each row. All rows have the same keys: the names of the statement's parameters.

    The statement is compiled once and its parameters go to the driver unchanged. Keep it in a constant: it is the cache
    key.
    """
    if rows:
        text, values = compile_row(statement, tuple(rows[0]), conn.dialect)
        send_many(conn, text, [values(row) for row in rows])


def run(conn: Connection, statement: ClauseElement, values: Row | None = None) -> Sequence[Found]:
    """Execute a statement once, without the work that `Connection.execute` repeats for each call: most of its cost.

    `values` holds all of the statement's parameters by name. A list is for IN (...), however long it is, and should be
    `padded`. Returns the rows, or none; booleans in them are 0 and 1 on SQLite. Keep the statement in a constant: it is
    the cache key.
    """
    parameters = values or {}
    text, flatten = flat(statement, parameters, conn.dialect)
    return send(conn, text, flatten(parameters))


def scalar(conn: Connection, statement: ClauseElement, values: Row | None = None) -> Any:
    """The value of a statement that returns one row of one column. Executes as `run`."""
    [row] = run(conn, statement, values)
    [value] = row.values()
    return value


def send(conn: Connection, text: str, values: Sequence[Any] = ()) -> Sequence[Found]:
    """Execute text in the driver's own parameter style and return its rows.

    This bypasses SQLAlchemy's own execution, with which a small statement takes eight times as long on SQLite, and
    three times the CPU time on PostgreSQL.
    """
    if not is_alone(conn):
        return [dict(row) for row in _ask(conn, text, lambda asyncpg: asyncpg.fetch(text, *values))]
    try:
        cursor = driver(conn).execute(text, values)
        rows = cursor.fetchall()
    except sqlite3.Error as error:
        raise _wrap(text, error) from error
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows]


def send_many(conn: Connection, text: str, rows: list[tuple[Any, ...]]) -> int:
    """Execute text for each row. Returns the number of rows written, -1 where the driver does not report it."""
    if not is_alone(conn):
        _ask(conn, text, lambda asyncpg: asyncpg.executemany(text, rows))
        return -1
    try:
        return driver(conn).executemany(text, rows).rowcount
    except sqlite3.Error as error:
        raise _wrap(text, error) from error


def driver(conn: Connection) -> sqlite3.Connection:
    """The sqlite3 connection that SQLAlchemy's wraps."""
    return cast(sqlite3.Connection, conn.connection.dbapi_connection)


def asyncpg_of(conn: Connection) -> Any:
    """The asyncpg connection that SQLAlchemy's wraps."""
    return conn.connection.driver_connection


def _ask(conn: Connection, text: str, call: Callable[[Any], Awaitable[T]]) -> T:
    """What `call` gets from asyncpg, which prepares each text once, within SQLAlchemy's transaction.

    SQLAlchemy has no public way to share its transaction and errors with what is sent by the driver itself.
    """
    if not conn.in_transaction():
        conn.begin()  # as every statement of SQLAlchemy's does: else its `commit` would commit nothing
    adapted, asyncpg = cast(Any, conn.connection.dbapi_connection), asyncpg_of(conn)
    try:
        if not asyncpg.is_in_transaction():
            await_only(adapted._start_transaction())  # noqa: SLF001
        return await_only(call(asyncpg))
    except BaseException as error:
        # Raises the error with its parameters hidden. Before, it replaces connections that cannot be used again: that
        # of a statement which was cancelled half-way, and all of them when the server became a standby.
        conn._handle_dbapi_exception(_adapted(adapted, error), text, None, None, None)  # noqa: SLF001
        raise


def _adapted(adapted: Any, error: BaseException) -> BaseException:
    """An error of asyncpg's as the one that SQLAlchemy's dialect knows; others as they are."""
    if isinstance(error, Exception):
        try:
            adapted._handle_exception(error)  # noqa: SLF001
        except Exception as known:  # noqa: BLE001 - to be handled by the connection
            return known
    return error


def _wrap(text: str, error: sqlite3.Error) -> BaseException:
    """The driver's error as SQLAlchemy's, whose message hides the parameters."""
    return DBAPIError.instance(text, None, error, sqlite3.Error, hide_parameters=True)


def flat(statement: ClauseElement, values: Row, dialect: Dialect) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
    """The text of a statement for values like these, and a function from values to positional parameters."""
    sizes = tuple((name, len(value)) for name, value in values.items() if isinstance(value, list))
    return _flat(statement, sizes, tuple(values), dialect)


@lru_cache(maxsize=256)
def _flat(
    statement: ClauseElement, sizes: tuple[tuple[str, int], ...], names: tuple[str, ...], dialect: Dialect
) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
    """The text of a statement whose lists have these sizes, and a function from its values to positional parameters."""
    long = [name for name, size in sizes if size > _LONG]
    compiled = (_whole(statement, long, dialect) if long else statement).compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - the compiler of queries and changes
    lists = {name: size for name, size in sizes if name not in long}
    shape = {name: [""] * lists[name] if name in lists else None for name in names}
    state = compiled.construct_expanded_state(shape)
    fixed = {name: value for name, value in state.parameters.items() if name not in names}
    positions = state.positiontup or ()
    elements = {
        element: (name, index)
        for name, expanded in state.parameter_expansion.items()
        for index, element in enumerate(expanded)
    }
    texts = () if dialect.name == _POSTGRES else long

    def flatten(values: Row) -> tuple[Any, ...]:
        parameters = fixed | values
        for element, (name, index) in elements.items():
            parameters[element] = values[name][index]
        for name in texts:
            parameters[name] = json.dumps(values[name], default=bytes.hex)
        return tuple([parameters[position] for position in positions])

    return state.statement, flatten


def _whole(statement: ClauseElement, names: Sequence[str], dialect: Dialect) -> ClauseElement:
    """The statement with each of these lists as one parameter: an array on PostgreSQL, JSON on SQLite.

    PostgreSQL makes the same plan of it as of IN (...), which it reads as ANY of an array itself.
    """

    def replace(element: Any, **_: Any) -> ColumnElement[bool] | None:
        if not isinstance(element, BinaryExpression) or getattr(element.right, "key", None) not in names:
            return None
        name, is_in = element.right.key, element.operator is operators.in_op
        if dialect.name == _POSTGRES:
            items = bindparam(name, type_=ARRAY(element.left.type))
            return element.left == any_(items) if is_in else element.left != all_(items)
        item: ColumnElement[Any] = func.json_each(bindparam(name)).table_valued("value").c.value
        among = select(getattr(func, OF_HEX)(item) if isinstance(element.left.type, LargeBinary) else item)
        return element.left.in_(among) if is_in else element.left.not_in(among)

    return cast(ClauseElement, replacement_traverse(cast(Any, statement), {}, replace))


@lru_cache(maxsize=256)
def compile_row(
    statement: UpdateBase, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
    """The text of a statement, and a function from a row to its positional parameters."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    positions: list[str] = list(compiled.positiontup or ())
    fixed = {name: value for name, value in compiled.params.items() if name not in names}
    pick = itemgetter(*positions)
    if fixed:
        return str(compiled), lambda row: pick(fixed | row)
    return str(compiled), pick


@lru_cache(maxsize=256)
def compile_list(statement: UpdateBase, names: tuple[str, ...], dialect: Dialect) -> tuple[str, list[str]]:
    """The text of a statement with these parameters, and their names in order."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    return str(compiled), list(compiled.positiontup or ())


def padded(items: Iterable[T]) -> list[T]:
    """The items for IN (...), with the last one repeated up to a power of two.

    Each length is a statement of its own to compile, prepare and cache; padding leaves about twenty of them.
    """
    values = list(items)
    if not values:
        return values
    size = 1 << (len(values) - 1).bit_length()
    return values + values[-1:] * (size - len(values))
