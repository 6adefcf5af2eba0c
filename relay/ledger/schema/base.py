"""What the tables share."""

from typing import Any, Final

from sqlalchemy import (
    Column,
    Index,
    Integer,
    MetaData,
    Text,
    TextClause,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

metadata: Final = MetaData()

Id: Final[TypeEngine[str]] = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Compared byte by byte, as Python sorts, because locks are taken in this order on both sides."""

NARROW: Final[dict[str, Any]] = {"sqlite_with_rowid": False}


def by_day(column: str) -> dict[str, Any]:
    """On PostgreSQL the table has a partition for each day. `column` is a UUIDv7, which begins with its time."""
    return {"postgresql_partition_by": f"RANGE ({column})"}


def failure() -> tuple[Column[Any], ...]:
    return Column("failure_code", Text), Column("failure_status", Integer), Column("failure_message", Text)


RANK: Final = "(9 - priority)"
"""The priority of a row of `work`, 0 for the highest, written so only where the index of all sources is meant."""


def partial(name: str, *columns: str | TextClause, where: str, unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
