"""What rules remember."""

import sqlalchemy as sa
from alembic import op

from relay.ledger.engine.migrations.tables.columns import ID, where


def create() -> None:
    op.create_table(
        "rule_keys",
        sa.Column(
            "hash",
            sa.LargeBinary(),
            primary_key=True,
            comment="SHA-256 of rule and rendered key, then the key's name",
        ),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), comment="of changed a hash, of newest the greatest number, else JSON"),
        sa.Column("dispatch_id", ID, comment="the dispatch that has the key (once), or the turn of its queue"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("rule_keys_expires", "rule_keys", ["expires_at"])
    op.create_index("rule_keys_once", "rule_keys", ["dispatch_id"], **where("value IS NULL"))
    op.create_table(
        "windows",
        sa.Column("id", ID, primary_key=True, comment="the dispatch that opened it"),
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="the hash of its key in debounce"),
        sa.Column("keep", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closes_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="of the bodies, in bytes"),
        sqlite_with_rowid=False,
    )
    op.create_index("windows_key", "windows", ["key"])
    op.create_index("windows_closes", "windows", ["closes_at"])
    op.create_table(
        "rule_versions",
        sa.Column("hash", sa.Text(), primary_key=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="JSON: the rule, and the constants that it names"),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="when a relay last had it in force, to the hour"),
    )
    op.create_index("rule_versions_seen", "rule_versions", ["seen_at"])
    op.create_table(
        "rule_sets",
        sa.Column("hash", sa.Text(), primary_key=True),
        sa.Column(
            "versions",
            sa.Text(),
            nullable=False,
            comment="JSON list of hashes in rule_versions, in the order of the rules",
        ),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="when a relay last had it in force, to the hour"),
    )
    op.create_index("rule_sets_seen", "rule_sets", ["seen_at"])
