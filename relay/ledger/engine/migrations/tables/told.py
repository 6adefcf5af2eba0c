"""Results and where they still must go."""

import sqlalchemy as sa
from alembic import op

from relay.ledger.engine.migrations.tables.columns import BUSY, ID, where


def create() -> None:
    op.create_table(
        "results",
        sa.Column("id", ID, primary_key=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("dispatch_id", ID),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("exchange", sa.Text(), comment="null for the result exchange"),
        sa.Column("routing_key", sa.Text()),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("reply_to", sa.Text()),
        sa.Column("traceparent", sa.Text()),
        sa.Column("chat_uuid", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), comment="the cursor of the stream; null until it is sequenced"),
        sa.Column("undeliverable", sa.Text(), comment="JSON list of destinations given up"),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("results_event", "results", ["event_id"])
    op.create_index("results_position", "results", ["position"], **where("position IS NOT NULL"))
    op.create_index("results_unsequenced", "results", ["created_at", "id"], **where("position IS NULL"))
    op.create_table(
        "outbox",
        sa.Column("result_id", ID, primary_key=True),
        sa.Column(
            "destination", sa.Text(), primary_key=True, comment="empty for the result exchange, else a reply queue"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="while leased: the end of the lease"),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("owner", sa.Text(), comment="the replica that holds the lease"),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("error", sa.Text()),
        sqlite_with_rowid=False,
        postgresql_with=BUSY,
    )
    op.create_index("outbox_due", "outbox", ["due_at", "result_id"])
    op.create_index("outbox_lease", "outbox", ["lease_until"], **where("lease_until IS NOT NULL"))
