"""What is counted for people, and the pauses of rules."""

import sqlalchemy as sa
from alembic import op


def create() -> None:
    op.create_table(
        "paused_rules",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("paused_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "resuming",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="it is resumed, and what was held is being let go",
        ),
        sqlite_with_rowid=False,
    )
    counts = (
        *("accepted", "unmatched", "duplicate", "unreadable", "refused", "chats", "failed", "parked", "ended"),
        *("ignored", "sampled", "unchanged", "stale", "shadow"),
        *(f"took_{number}" for number in range(11)),
    )
    op.create_table(
        "minutes",
        sa.Column("kind", sa.Text(), primary_key=True, comment="all, source or rule"),
        sa.Column("name", sa.Text(), primary_key=True, comment="of the source or the rule; empty for all"),
        sa.Column("minute", sa.BigInteger(), primary_key=True, autoincrement=False, comment="its start"),
        sa.Column("owner", sa.Text(), primary_key=True, comment="the replica that has counted"),
        *(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in counts),
        sqlite_with_rowid=False,
    )
    op.create_index("minutes_at", "minutes", ["minute"])
    op.create_table(
        "usage",
        sa.Column("day", sa.BigInteger(), primary_key=True, autoincrement=False, comment="its start, UTC"),
        sa.Column("rule", sa.Text(), primary_key=True),
        sa.Column("owner", sa.Text(), primary_key=True, comment="the replica that has counted; empty for credits"),
        sa.Column("chats", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("credits", sa.Float(), comment="of the chats made that day, as Cargo told last"),
        sa.Column("asked_at", sa.BigInteger(), comment="when Cargo was asked for them"),
        sqlite_with_rowid=False,
    )
