"""What is counted: rates per minute, usage per day."""

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Table, Text

from relay.ledger.schema.base import NARROW, metadata
from relay.telemetry import COUNTS

minutes: Final = Table(
    "minutes",
    metadata,
    Column("kind", Text, primary_key=True, comment="all, source or rule"),
    Column("name", Text, primary_key=True, comment="of the source or the rule; empty for all"),
    Column("minute", BigInteger, primary_key=True, autoincrement=False, comment="its start"),
    Column("owner", Text, primary_key=True, comment="the replica that has counted"),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in COUNTS),
    Index("minutes_at", "minute"),
    **NARROW,
)

usage: Final = Table(
    "usage",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False, comment="its start, UTC"),
    Column("rule", Text, primary_key=True),
    Column("owner", Text, primary_key=True, comment="the replica that has counted; empty for credits"),
    Column("chats", BigInteger, nullable=False, server_default="0"),
    Column("credits", Float, comment="of the chats made that day, as Cargo told last"),
    Column("asked_at", BigInteger, comment="when Cargo was asked for them"),
    **NARROW,
)
