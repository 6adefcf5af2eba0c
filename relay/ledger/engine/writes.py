"""Writes that share a round trip to PostgreSQL. On SQLite, which has no round trips, each is executed at once.

A round trip costs an event more than the rows that it writes. So the writes of a transaction whose rows none of its
later statements reads are collected and sent as one statement: the first ones stand in WITH. Its text depends on which
tables, columns and numbers of rows (one or more) come together, so that few texts are prepared and cached.

All parts of such a statement see the rows as they were before it, and PostgreSQL executes them in any order
(https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING). So no two parts may write the same
row, and the order in which existing rows are locked must not depend on the order of the parts: they are locked before.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import ARRAY, Connection, Dialect, Table, bindparam, func, select
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import Insert, UpdateBase

from relay.ledger.engine.sql import (
    Columns,
    Found,
    Row,
    compile_list,
    compile_row,
    flat,
    is_alone,
    run,
    send,
    send_many,
    write_many,
)

Part = tuple[str, Sequence[Any]]
"""A statement in the driver's parameter style, and its parameters."""

_PARAMETER: Final = re.compile(r"\$(\d+)")


class Writes:
    """Writes of one transaction, sent when the `with` block ends without an error.

    Nothing in the block may read what it writes. Keep the statements in constants: they are cache keys.
    """

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._at_once = is_alone(conn)
        self._many: list[tuple[UpdateBase, Sequence[Row]]] = []
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if kind is None and not self._at_once:
            self._send()

    def insert(self, statement: Insert, columns: Columns) -> None:
        """Insert the rows of `columns`, whose names are those of the table. Keys come in order, which is kept."""
        count = _count(columns)
        if not count:
            return
        if self._at_once:
            _insert_at_once(self.conn, statement, columns)
        else:
            self._parts.append(_insert_part(self.conn.dialect, statement, columns, count))

    def insert_rows(self, statement: Insert, rows: Sequence[Row]) -> None:
        """As `insert`, for rows that all have the same names."""
        if rows:
            self.insert(statement, {name: [row[name] for row in rows] for name in rows[0]})

    def change(self, statement: UpdateBase, rows: Sequence[Row]) -> None:
        """Execute an UPDATE or DELETE for each row, whose names are the statement's parameters.

        The changes of several rows stay a statement of their own, which locks them in the order given.
        """
        if self._at_once:
            write_many(self.conn, statement, rows)
        elif len(rows) == 1:
            text, values = compile_row(statement, tuple(rows[0]), self.conn.dialect)
            self._parts.append((text, values(rows[0])))
        elif rows:
            self._many.append((statement, rows))

    def run(self, statement: UpdateBase, values: Row) -> None:
        """Execute a statement once, as `sql.run`, without its rows."""
        if self._at_once:
            run(self.conn, statement, values)
        else:
            text, flatten = flat(statement, values, self.conn.dialect)
            self._parts.append((text, flatten(values)))

    def _send(self) -> None:
        for statement, rows in self._many:
            write_many(self.conn, statement, rows)
        if self._parts:
            texts, values = zip(*self._parts, strict=True)
            send(self.conn, _joined(texts, tuple(map(len, values))), [value for part in values for value in part])


def insert_and_read(
    conn: Connection, statement: Insert, columns: Columns, query: ClauseElement | None, parameters: Row
) -> tuple[int, Found | None]:
    """Insert rows, and read one row in the same round trip.

    `columns` are as for `Writes.insert`; a name that the table does not have is a parameter of the statement with the
    same value for all rows. Returns how many rows were written, and the row of `query`, whose parameters are given.
    """
    count = _count(columns)
    if is_alone(conn) or not count:
        written = _insert_at_once(conn, statement, columns) if count else 0
        return written, None if query is None else run(conn, query, parameters)[0]
    text, values = _insert_part(conn.dialect, statement, columns, count)
    if query is None:
        [row] = send(conn, _counted(text, len(values)), values)
        return row["written"], None
    query_text, flatten = flat(query, parameters, conn.dialect)
    [row] = send(conn, _counted(text, len(values), query_text), [*values, *flatten(parameters)])
    return row["written"], row


def _count(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))


def _insert_at_once(conn: Connection, statement: Insert, columns: Columns) -> int:
    """Insert rows on SQLite. Returns how many were written.

    Columns without any value are left out, because a null costs the driver as much as a text. Passing the parameters
    unchanged takes a third of the time of `Connection.execute` with a list.
    """
    non_null = {name: column for name, column in columns.items() if not _is_null(column)}
    text, names = compile_list(statement, tuple(non_null), conn.dialect)
    return send_many(conn, text, list(zip(*[non_null[name] for name in names], strict=True)))


def _is_null(column: Sequence[Any]) -> bool:
    return column[0] is None and column.count(None) == len(column)


def _insert_part(dialect: Dialect, statement: Insert, columns: Columns, count: int) -> Part:
    """One row as VALUES, which costs the server least; more as one array per column, however many they are."""
    if count == 1:
        text, names = compile_list(statement, tuple(columns), dialect)
        return text, [columns[name][0] for name in names]
    text, positions, arrays = _unnesting(statement, tuple(columns), dialect)
    return text, [columns[name] if name in arrays else columns[name][0] for name in positions]


@lru_cache(maxsize=256)
def _unnesting(
    statement: Insert, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, Sequence[str], frozenset[str]]:
    """The text of an INSERT of arrays, the names of its parameters in order, and those of them that are arrays."""
    table = statement.table
    assert isinstance(table, Table)  # noqa: S101 - statements of the schema's tables
    in_table = [name for name in names if name in table.c]
    arrays = [bindparam(name, type_=ARRAY(table.c[name].type)) for name in in_table]
    rows = func.unnest(*arrays).table_valued(*in_table).render_derived()
    compiled: Any = statement.from_select(in_table, select(*rows.c)).compile(dialect=dialect)
    return str(compiled), list(compiled.positiontup), frozenset(in_table)


@lru_cache(maxsize=256)
def _joined(texts: tuple[str, ...], counts: tuple[int, ...]) -> str:
    """One statement that executes all of them. `counts` are the numbers of their parameters, which are renumbered."""
    *first, last = _renumbered(texts, counts)
    return f"WITH {_named(first)} {last}" if first else last


@lru_cache(maxsize=64)
def _counted(text: str, count: int, query: str | None = None) -> str:
    """A statement that executes `text`, an INSERT of `count` parameters, and returns the number of rows it wrote.

    The row of `query` stands beside it.
    """
    written = "(SELECT count(*) FROM write0) AS written"
    read = written if query is None else f"{written}, state.* FROM ({_shifted(query, count)}) AS state"
    return f"WITH {_named([f'{text} RETURNING 1'])} SELECT {read}"


def _named(texts: Sequence[str]) -> str:
    return ", ".join(f"write{number} AS ({text})" for number, text in enumerate(texts))


def _renumbered(texts: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    before = 0
    for text, count in zip(texts, counts, strict=True):
        yield _shifted(text, before)
        before += count


def _shifted(text: str, before: int) -> str:
    """A statement whose parameters come after `before` others."""
    return _PARAMETER.sub(lambda parameter: f"${int(parameter[1]) + before}", text)
