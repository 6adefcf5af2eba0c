"""Dispatches, the work on them, what all replicas share."""

import sqlalchemy as sa
from alembic import op

from relay.ledger.engine.migrations.tables.columns import BUSY, ID, where


def create() -> None:
    op.create_table(
        "dispatches",
        sa.Column("id", ID, primary_key=True),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("message", sa.Text()),
        sa.Column("follow", sa.Text(), comment="said in place of the message in a chat that exists already"),
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
        sa.Column("cause", ID, comment="the dispatch that ended it"),
        sa.Column("cause_event", ID, comment="the event that cancelled it"),
        sa.Column("plan", sa.Text(), comment="JSON: what the keys of its rule ask for at the claim; null for nothing"),
        sa.Column("labels", sa.Text(), comment="JSON object of its labels; null for none"),
        sa.Column("left_out", sa.Text(), comment="JSON object of the labels that could not be rendered, and why"),
        sa.Column("exchange", sa.Text(), comment="where its results go; null for the result exchange"),
        sa.Column("routing_key", sa.Text(), comment="of its results there; null for the usual one"),
        sa.Column("failure_code", sa.Text()),
        sa.Column("failure_status", sa.Integer()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("rule_version", sa.Text(), comment="the hash in rule_versions of the rule as it was when it decided"),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("dispatches_event", "dispatches", ["event_id"])
    if op.get_context().dialect.name == "postgresql":
        op.create_index("dispatches_updated", "dispatches", ["updated_at"], postgresql_using="brin")
    op.create_index("dispatches_chat", "dispatches", ["chat_uuid"], **where("chat_uuid IS NOT NULL"))
    op.create_index("dispatches_trouble", "dispatches", ["state", "event_id"], **where("state <> 'done'"))
    op.create_table(
        "work",
        sa.Column("dispatch_id", ID, primary_key=True),
        sa.Column("source", sa.Text(), nullable=False),
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
        sa.Column(
            "started_at",
            sa.BigInteger(),
            comment="of the attempt that is open; its row of attempts comes when it ends",
        ),
        sa.Column("last_ended_at", sa.BigInteger(), comment="end of the last attempt, or of its lease"),
        sa.Column("looks", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("doubt", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("cancelling", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="5"),
        sa.Column("expires_at", sa.BigInteger(), comment="when it ends as expired, unless its first call has begun"),
        sa.Column("held_by", sa.Text(), comment="what holds it back, in the state held"),
        sa.Column("queue", sa.LargeBinary(), comment="the hash of its key in order or thread"),
        sa.Column("queue_number", sa.BigInteger(), comment="its number there"),
        sa.Column("window_id", ID, comment="the window in which its event is gathered"),
        sa.Column(
            "follows", sa.Boolean(), nullable=False, server_default=sa.false(), comment="in the chat of its thread"
        ),
        sa.Column("not_before", sa.BigInteger(), comment="the end of its delay"),
        sa.Column("cancel_key", sa.LargeBinary(), comment="the hash of the key under which events cancel it"),
        sa.Column("paused_rule", sa.Text(), comment="its rule, while a pause of that holds it"),
        sqlite_with_rowid=False,
        postgresql_with=BUSY,
    )
    op.create_index("work_due", "work", ["due_at", "dispatch_id"], **where("due_at IS NOT NULL"))
    rank = sa.text("(9 - priority)")
    op.create_index("work_turn", "work", [rank, "due_at", "dispatch_id"], **where("due_at IS NOT NULL"))
    of_source = ["source", "priority", "due_at", "dispatch_id"]
    op.create_index("work_source", "work", of_source, **where("due_at IS NOT NULL"))
    op.create_index(
        "work_expires", "work", ["expires_at"], **where("expires_at IS NOT NULL AND first_attempt_at IS NULL")
    )
    op.create_index("work_queue", "work", ["queue", "queue_number"], **where("queue IS NOT NULL"))
    op.create_index("work_window", "work", ["window_id"], **where("window_id IS NOT NULL"))
    op.create_index("work_cancel", "work", ["cancel_key"], **where("cancel_key IS NOT NULL"))
    op.create_index("work_lease", "work", ["lease_until"], **where("lease_until IS NOT NULL"))
    op.create_index("work_paused", "work", ["paused_rule", "dispatch_id"], **where("paused_rule IS NOT NULL"))
    op.create_index("work_look", "work", ["look_at"], **where("look_at IS NOT NULL"))
    op.create_table(
        "attempts",
        sa.Column("dispatch_id", ID, primary_key=True),
        sa.Column("run", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True, comment="chat, message or follow"),
        sa.Column("number", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("verdict", sa.Text()),
        sa.Column("failure_code", sa.Text()),
        sa.Column("failure_status", sa.Integer()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("chat_uuid", sa.Text()),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (dispatch_id)",
    )
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
        "replicas",
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False, comment="when it was first seen"),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
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
