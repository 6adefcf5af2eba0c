"""The partitions by day on PostgreSQL: which there are, and those of the coming days.

Each has one day, or several where `retain` is long (`PARTITIONS`).

Ids are UUIDv7 and begin with their time, so an id names the day of its row. Rows of a day without a partition are in
the table's default partition, `..._rest`: nothing fails for lack of a partition, it is only pruned by rows.

PostgreSQL plans a statement for every partition that its text does not rule out, and for an UPDATE it opens all of them
at each execution. So what runs for every event has the day of its ids as a constant in its text (`split`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Final, Self

from sqlalchemy import Column, ColumnElement, Connection, Update, literal_column, text
from sqlalchemy.exc import DBAPIError

from relay.ledger.engine.faults import sqlstate
from relay.ledger.engine.sql import Row, is_alone
from relay.ledger.terms import Terms
from relay.model import first_id, frozen

DAY: Final = 86_400_000
"""Milliseconds."""
AHEAD: Final = 2
"""Days after today that have partitions, so that a pause of the upkeep does no harm."""
PARTITIONS: Final = 8
"""About how many hold the days that are retained. A statement that may need any of them locks all, with all indexes:
hundreds would use up PostgreSQL's table of locks (`max_locks_per_transaction`)."""
TABLES: Final = ("events", "labels", "dispatches", "attempts", "results")
"""In the order in which they are locked."""
REST: Final = 256 << 20
"""Bytes of a default partition up to which partitions are made: PostgreSQL reads it for each, with the table locked."""

_LOCK_FOR: Final = 50
"""Milliseconds to wait for a table: everybody who comes later waits as long. Below the server's `deadlock_timeout`, so
that no other transaction is aborted for it."""
_LOCKED: Final = "55P03"
_THERE: Final = text(
    "SELECT substr(relname, 8) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = 'events'::regclass AND relname ~ '^events_[0-9]{8}_[0-9]+$' ORDER BY 1"
)
_MAY: Final = text(
    "SELECT has_schema_privilege(current_schema(), 'CREATE') AND bool_and(pg_has_role(relowner, 'USAGE'))"
    f" FROM pg_class WHERE oid = ANY(ARRAY{list(TABLES)}::regclass[])"
)
_REST: Final = text(
    f"SELECT max(pg_relation_size(name)) FROM unnest(ARRAY{[f'{name}_rest' for name in TABLES]}::regclass[]) AS name"
)


@frozen
class Days:
    """Days of UTC that share a partition: the first, counted from the epoch, and how many.

    Their ids are those from `low` to before `high`.
    """

    first: int
    count: int = 1

    @property
    def begin(self) -> int:
        """Milliseconds since the epoch."""
        return self.first * DAY

    @property
    def after(self) -> int:
        """The first day after them."""
        return self.first + self.count

    @property
    def end(self) -> int:
        """The beginning of that day, in milliseconds since the epoch."""
        return self.after * DAY

    @property
    def low(self) -> str:
        return first_id(self.begin)

    @property
    def high(self) -> str:
        return first_id(self.end)

    @property
    def name(self) -> str:
        """As in the names of their partitions: the first day and how many."""
        return f"{datetime.fromtimestamp(self.begin / 1_000, UTC):%Y%m%d}_{self.count}"

    @classmethod
    def named(cls, name: str) -> Self:
        date, count = name.split("_")
        moment = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
        return cls(int(moment.timestamp()) * 1_000 // DAY, int(count))

    def of(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Whether an id is of these days, which stand in the statement's text."""
        return (column >= literal_column(f"'{self.low}'")) & (column < literal_column(f"'{self.high}'"))


def split(
    conn: Connection, statement: Update, column: Column[str], rows: Sequence[Row], name: str
) -> Iterator[tuple[Update, Sequence[Row]]]:
    """Split rows, which are in the order of their ids, by day, each with the statement for rows of that day.

    `column` is the table's id, `name` the parameter that has it. On SQLite nothing is split.
    """
    if is_alone(conn) or not rows:
        yield statement, rows
        return
    for day, of_day in groupby(rows, key=lambda row: _day_of(row[name])):
        yield (statement if day is None else _in_day(statement, column, day)), list(of_day)


def _day_of(row_id: str) -> Days | None:
    """The day of an id; None for one that is no UUIDv7."""
    try:
        return Days(int(row_id[:8] + row_id[9:13], 16) // DAY)
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _in_day(statement: Update, column: Column[str], days: Days) -> Update:
    return statement.where(days.of(column))


def there(conn: Connection) -> list[Days]:
    """The days that have partitions, oldest first."""
    return [Days.named(name) for name in conn.execute(_THERE).scalars()]


def may_change(conn: Connection) -> bool:
    """Whether this role may make and drop partitions: it owns the tables, and makes tables in their schema."""
    return bool(conn.execute(_MAY).scalar())


def make(conn: Connection, now: int, *, terms: Terms) -> int:
    """Make the partitions of today and the coming days that are missing. Returns how many for each table.

    Days of which the default partition has rows already stay without. Does nothing where the role may not make tables,
    or while others hold the tables locked.
    """
    if is_alone(conn) or not _missing(conn, now, terms):
        return 0
    if not may_change(conn) or conn.execute(_REST).scalar_one() > REST:
        return 0
    made = 0
    with changing(conn) as lock:
        lock()
        for days in _missing(conn, now, terms):  # another replica may have made them meanwhile
            # One row of any of these days would keep all of them without: then each has a partition of its own.
            made += _make(conn, days) or sum(_make(conn, Days(day)) for day in range(days.first, days.after))
    return made


def _missing(conn: Connection, now: int, terms: Terms) -> list[Days]:
    """The partitions to make. `terms.retain` is divided among `PARTITIONS`."""
    present, missing = there(conn), []
    today, most = now // DAY, max(1, -(-terms.retain // (PARTITIONS * DAY)))
    day = today
    while day <= today + AHEAD:
        if covering := [days for days in present if days.first <= day < days.after]:
            day = covering[0].after
        else:
            count = min([most, *(days.first - day for days in present if days.first > day)])
            missing.append(Days(day, count))
            day += count
    return missing


@contextmanager
def changing(conn: Connection) -> Iterator[Callable[[], None]]:
    """A block that changes partitions once it has called what it is given, which locks the tables for everybody else.

    It waits for no lock for long. When others hold one, all that the block did is undone, and nothing is raised.
    """

    def lock() -> None:
        conn.exec_driver_sql(f"LOCK TABLE {', '.join(f'ONLY {name}' for name in TABLES)} IN ACCESS EXCLUSIVE MODE")

    try:
        with conn.begin_nested():
            conn.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_FOR}")
            yield lock
    except DBAPIError as error:
        if sqlstate(error) != _LOCKED:
            raise


def _make(conn: Connection, days: Days) -> bool:
    bounds = {"low": days.low, "high": days.high}
    if any(conn.execute(text(_stray(name)), bounds).first() for name in TABLES):
        return False
    for name in TABLES:
        conn.exec_driver_sql(
            f"CREATE TABLE {name}_{days.name} PARTITION OF {name} FOR VALUES FROM ('{days.low}') TO ('{days.high}')"
        )
    return True


def _stray(table: str) -> str:
    key = key_of(table)
    return f"SELECT 1 FROM {table}_rest WHERE {key} >= :low AND {key} < :high LIMIT 1"


def key_of(name: str) -> str:
    """The column by which a table is partitioned."""
    return {"labels": "event_id", "attempts": "dispatch_id"}.get(name, "id")
