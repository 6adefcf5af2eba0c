"""What people look at and do."""

import sqlalchemy as sa
from alembic import op

from relay.ledger.engine.migrations.tables.columns import ID, where


def create() -> None:
    op.create_table(
        "problems",
        sa.Column("id", ID, primary_key=True),
        sa.Column("key", sa.LargeBinary(), nullable=False, comment="SHA-256 of kind, source, rule, code and detail"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("rule", sa.Text()),
        sa.Column("code", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "good_at",
            sa.BigInteger(),
            comment="when its source accepted an event or its rule made a chat since",
        ),
        sa.Column(
            "until", sa.BigInteger(), comment="when it is over, unless it is seen again; null: by the rule of its kind"
        ),
        sa.Column("resolved_at", sa.BigInteger()),
        sa.Column("acknowledged_by", sa.Text()),
        sa.Column("event_id", ID),
        sa.Column("dispatch_id", ID),
        sa.Column("told", sa.Text(), comment="the last message about it: opened, spent (of a budget) or resolved"),
        sa.Column(
            "told_at",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="of the last message about its key",
        ),
        sa.Column("tell_at", sa.BigInteger(), comment="when the next message is due; null for none"),
    )
    op.create_index("problems_key", "problems", ["key", "id"])
    op.create_index("problems_unresolved", "problems", ["key"], unique=True, **where("state <> 'resolved'"))
    op.create_index("problems_tell", "problems", ["tell_at"], **where("tell_at IS NOT NULL"))
    op.create_index("problems_resolved", "problems", ["resolved_at"], **where("resolved_at IS NOT NULL"))
    op.create_table(
        "alerts",
        sa.Column("id", ID, primary_key=True, comment="of the message, which is its webhook-id"),
        sa.Column("receiver", sa.Text(), primary_key=True, comment="the fingerprint of the URL"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="while leased: the end of the lease"),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("body", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("alerts_due", "alerts", ["due_at"])
    op.create_table(
        "acts",
        sa.Column("id", ID, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("event_id", ID, comment="the event that it belongs to"),
    )
    op.create_index("acts_event", "acts", ["event_id"], **where("event_id IS NOT NULL"))
    op.create_index("acts_at", "acts", ["at"])
    op.create_table(
        "jobs",
        sa.Column("id", ID, primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("aim", sa.Text(), nullable=False, comment="JSON: which events, and what to do with them"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False, comment="events, counted at the start"),
        sa.Column("done", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("made", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("skipped", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("failed", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("rules", sa.Text(), nullable=False, comment="JSON object: how many each rule made"),
        sa.Column("fault_event", ID, comment="the last event that failed"),
        sa.Column("fault", sa.Text(), comment="why it failed, or why the job did"),
        sa.Column("cursor", ID, nullable=False, comment="the last event that was done"),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
    )
    op.create_index("jobs_running", "jobs", ["id"], **where("state = 'running'"))
    op.create_table(
        "ended_sessions",
        sa.Column("hash", sa.LargeBinary(), primary_key=True, comment="SHA-256 of what the cookie states"),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="when it would have ended by itself"),
        sqlite_with_rowid=False,
    )
    op.create_index("ended_sessions_until", "ended_sessions", ["until"])
