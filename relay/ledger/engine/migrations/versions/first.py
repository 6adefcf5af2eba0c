"""The first schema."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from relay.ledger.engine.migrations.tables import counted, received, ruled, sent, told, watched

revision = "first"
down_revision = None
branch_labels = None
depends_on = None

BY_DAY: Final = ("events", "labels", "dispatches", "attempts", "results")
SEEN: Final = 8
"""Partitions of `seen`."""


def upgrade() -> None:
    for part in (received, ruled, sent, told, watched, counted):
        part.create()
    if op.get_context().dialect.name == "postgresql":
        _partition()
    for name in ("pace", "paused", "paused_since", "position"):
        op.execute(sa.text("INSERT INTO counters (name, value) VALUES (:name, 0)").bindparams(name=name))


def _partition() -> None:
    """Make the partitions that are always there. Those of single days are made while Relay runs."""
    for table in BY_DAY:
        op.execute(f"CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT")
    for rest in range(SEEN):
        op.execute(f"CREATE TABLE seen_{rest} PARTITION OF seen FOR VALUES WITH (MODULUS {SEEN}, REMAINDER {rest})")
