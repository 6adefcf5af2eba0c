"""The first schema."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "first"
down_revision = None
branch_labels = None
depends_on = None

ID: Final = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    _what_was()
    _what_is_due()
    _what_replicas_share()
    _what_people_see()
    for name in ("pace", "paused", "paused_since", "position"):
        op.execute(sa.text("INSERT INTO counters (name, value) VALUES (:name, 0)").bindparams(name=name))


def _what_was() -> None:
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
    )
    op.create_index("events_source", "events", ["source", "id"])
    op.create_index("events_unmatched", "events", ["id"], **_where("status = 'unmatched'"))
    op.create_table(
        "seen",
        sa.Column("key", sa.LargeBinary(), primary_key=True, comment="SHA-256 of the identity"),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
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
        "dispatches",
        sa.Column("id", ID, primary_key=True),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("message", sa.Text()),
        sa.Column("trigger_type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("agent_uuid", sa.Text()),
        sa.Column("on_unknown", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), comment="null while there is a row of work"),
        sa.Column("chat_uuid", sa.Text()),
        sa.Column("chat_agent", sa.Text(), comment="the agent of the chat, as Cargo told it"),
        sa.Column("reconciled", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("duplicates", sa.Text(), comment="JSON list of other chats made for it"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("park", sa.Text()),
        sa.Column("failure_code", sa.Text()),
        sa.Column("failure_status", sa.Integer()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("dispatches_event", "dispatches", ["event_id"])
    op.create_index("dispatches_trouble", "dispatches", ["state", "event_id"], **_where("state <> 'done'"))
    op.create_table(
        "attempts",
        sa.Column("dispatch_id", ID, primary_key=True),
        sa.Column("run", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True, comment="chat or message"),
        sa.Column("number", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("verdict", sa.Text()),
        sa.Column("failure_code", sa.Text()),
        sa.Column("failure_status", sa.Integer()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("chat_uuid", sa.Text()),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "results",
        sa.Column("id", ID, primary_key=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("dispatch_id", ID),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("routing_key", sa.Text()),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("reply_to", sa.Text()),
        sa.Column("traceparent", sa.Text()),
        sa.Column("chat_uuid", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), comment="the cursor of the stream; null until it is sequenced"),
        sa.Column("undeliverable", sa.Text(), comment="JSON list of destinations given up"),
    )
    op.create_index("results_event", "results", ["event_id"])
    op.create_index("results_position", "results", ["position"], unique=True, **_where("position IS NOT NULL"))
    op.create_index("results_unsequenced", "results", ["created_at", "id"], **_where("position IS NULL"))


def _what_is_due() -> None:
    op.create_table(
        "work",
        sa.Column("dispatch_id", ID, primary_key=True),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("look_at", sa.BigInteger()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("owner", sa.Text()),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("number", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("first_attempt_at", sa.BigInteger()),
        sa.Column(
            "paused_before",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="pause clock at first_attempt_at",
        ),
        sa.Column("last_ended_at", sa.BigInteger(), comment="end of the last attempt, or of its lease"),
        sa.Column("looks", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("doubt", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("cancelling", sa.Boolean(), nullable=False, server_default=sa.false()),
        sqlite_with_rowid=False,
    )
    op.create_index("work_due", "work", ["due_at", "dispatch_id"], **_where("due_at IS NOT NULL"))
    op.create_index("work_lease", "work", ["lease_until"], **_where("lease_until IS NOT NULL"))
    op.create_index("work_look", "work", ["look_at"], **_where("look_at IS NOT NULL"))
    op.create_table(
        "outbox",
        sa.Column("result_id", ID, primary_key=True),
        sa.Column(
            "destination", sa.Text(), primary_key=True, comment="empty for the result exchange, else a reply queue"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="while leased: the end of the lease"),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("error", sa.Text()),
        sqlite_with_rowid=False,
    )
    op.create_index("outbox_due", "outbox", ["due_at", "result_id"])
    op.create_index("outbox_lease", "outbox", ["lease_until"], **_where("lease_until IS NOT NULL"))


def _what_replicas_share() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "slots",
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("free", sa.Integer(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pauses",
        sa.Column("reason", sa.Text(), primary_key=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )


def _what_people_see() -> None:
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
