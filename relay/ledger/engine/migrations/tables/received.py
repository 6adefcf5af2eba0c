"""What comes in."""

import sqlalchemy as sa
from alembic import op

from relay.ledger.engine.migrations.tables.columns import ID, where


def create() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, primary_key=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text()),
        sa.Column("external_id", sa.Text()),
        sa.Column("type", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("time", sa.BigInteger()),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.Text(), comment="JSON; null when raw is the JSON of it, or unreadable"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("traceparent", sa.Text()),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("reply_to", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("unreadable", sa.Text()),
        sa.Column("skips", sa.Text(), comment="JSON list of rules that matched and made no dispatch; null for none"),
        sa.Column("rule_set", sa.Text(), comment="the hash in rule_sets of the rules that decided it; null for none"),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("events_source", "events", ["source", "id"])
    op.create_index("events_unmatched", "events", ["id"], **where("status = 'unmatched'"))
    op.create_table(
        "seen",
        sa.Column("key", sa.LargeBinary(), primary_key=True, comment="SHA-256 of the identity"),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
        postgresql_partition_by="HASH (key)",
    )
    op.create_index("seen_expires", "seen", ["expires_at"])
    op.create_table(
        "acceptances",
        sa.Column("key", sa.LargeBinary(), primary_key=True, comment="SHA-256 of the source and the delivery"),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment="SHA-256 of the source and the content"),
        sa.Column("session", sa.Text(), nullable=False, comment="the channel on which it came last"),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("acceptances_content", "acceptances", ["content", "event_id"])
    op.create_index("acceptances_expires", "acceptances", ["expires_at"])
    op.create_table(
        "labels",
        sa.Column("name", ID, primary_key=True),
        sa.Column("value", ID, primary_key=True),
        sa.Column("event_id", ID, primary_key=True),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (event_id)",
    )
    op.create_index("labels_event", "labels", ["event_id"])
    op.create_table(
        "rejections",
        sa.Column("id", ID, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("remote", sa.Text()),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("readmitted", sa.Text(), comment="JSON list of the events it became; null until then"),
    )
    op.create_index("rejections_source", "rejections", ["source", "at", "id"])
    op.create_index("rejections_reason", "rejections", ["source", "reason", "at", "id"])
    op.create_table(
        "kept",
        sa.Column("id", ID, primary_key=True, comment="of the rejection"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="of the body, in bytes"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False, comment="JSON in ASCII: method, url, headers"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("kept_source", "kept", ["source", "id", "size"])
    op.create_index("kept_expires", "kept", ["expires_at"])
    op.create_table(
        "learned",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "paused_sources",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("paused_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "suspects",
        sa.Column("key", sa.LargeBinary(), primary_key=True, comment="SHA-256 of the queue and the message"),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), comment="the replica that reads it now"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("suspects_at", "suspects", ["at"])
    op.create_table(
        "dead",
        sa.Column("id", ID, primary_key=True, comment="also the header relay-id of the letter"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("routing_key", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text()),
        sa.Column("type", sa.Text()),
        sa.Column("content_type", sa.Text()),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("requeued_at", sa.BigInteger()),
    )
    op.create_index("dead_source", "dead", ["source", "id"])
