"""What is made of it: dispatches, the work on them, what all replicas share."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text, false, text

from relay.ledger.schema.base import NARROW, RANK, Id, by_day, failure, metadata, partial

dispatches: Final = Table(
    "dispatches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event_id", Id, nullable=False),
    Column("source", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("body", Text),
    Column("message", Text),
    Column("follow", Text, comment="said in place of the message in a chat that exists already"),
    Column("trigger_type", Text, nullable=False),
    Column("name", Text),
    Column("agent_uuid", Text),
    Column("on_unknown", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Text, comment="null while there is a row of work"),
    Column("chat_uuid", Text),
    Column("chat_agent", Text, comment="the agent of the chat, as Cargo told it"),
    Column("reconciled", Boolean, nullable=False, server_default=false()),
    Column("duplicates", Text, comment="JSON list of other chats made for it"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("park", Text),
    Column("cause", Id, comment="the dispatch that ended it"),
    Column("cause_event", Id, comment="the event that cancelled it"),
    Column("plan", Text, comment="JSON: what the keys of its rule ask for at the claim; null for nothing"),
    Column("labels", Text, comment="JSON object of its labels; null for none"),
    Column("left_out", Text, comment="JSON object of the labels that could not be rendered, and why"),
    Column("exchange", Text, comment="where its results go; null for the result exchange"),
    Column("routing_key", Text, comment="of its results there; null for the usual one"),
    *failure(),
    Column("updated_at", BigInteger, nullable=False),
    Column("rule_version", Text, comment="the hash in rule_versions of the rule as it was when it decided"),
    Index("dispatches_event", "event_id"),
    Index("dispatches_updated", "updated_at", postgresql_using="brin").ddl_if(dialect="postgresql"),
    partial("dispatches_chat", "chat_uuid", where="chat_uuid IS NOT NULL"),
    partial("dispatches_trouble", "state", "event_id", where="state <> 'done'"),
    **by_day("id"),
)

work: Final = Table(
    "work",
    metadata,
    Column("dispatch_id", Id, primary_key=True),
    Column("source", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", BigInteger),
    Column("look_at", BigInteger),
    Column("lease_until", BigInteger),
    Column("owner", Text),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("number", Integer, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("first_attempt_at", BigInteger),
    Column("paused_before", BigInteger, nullable=False, server_default="0", comment="pause clock at first_attempt_at"),
    Column("started_at", BigInteger, comment="of the attempt that is open; its row of attempts comes when it ends"),
    Column("last_ended_at", BigInteger, comment="end of the last attempt, or of its lease"),
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("doubt", Boolean, nullable=False, server_default=false()),
    Column("cancelling", Boolean, nullable=False, server_default=false()),
    Column("priority", Integer, nullable=False, server_default="5"),
    Column("expires_at", BigInteger, comment="when it ends as expired, unless its first call has begun"),
    Column("held_by", Text, comment="what holds it back, in the state held"),
    Column("queue", LargeBinary, comment="the hash of its key in order or thread"),
    Column("queue_number", BigInteger, comment="its number there"),
    Column("window_id", Id, comment="the window in which its event is gathered"),
    Column("follows", Boolean, nullable=False, server_default=false(), comment="in the chat of its thread"),
    Column("not_before", BigInteger, comment="the end of its delay"),
    Column("cancel_key", LargeBinary, comment="the hash of the key under which events cancel it"),
    Column("paused_rule", Text, comment="its rule, while a pause of that holds it"),
    partial("work_due", "due_at", "dispatch_id", where="due_at IS NOT NULL"),
    partial("work_turn", text(RANK), "due_at", "dispatch_id", where="due_at IS NOT NULL"),
    partial("work_source", "source", "priority", "due_at", "dispatch_id", where="due_at IS NOT NULL"),
    partial("work_expires", "expires_at", where="expires_at IS NOT NULL AND first_attempt_at IS NULL"),
    partial("work_queue", "queue", "queue_number", where="queue IS NOT NULL"),
    partial("work_window", "window_id", where="window_id IS NOT NULL"),
    partial("work_cancel", "cancel_key", where="cancel_key IS NOT NULL"),
    partial("work_paused", "paused_rule", "dispatch_id", where="paused_rule IS NOT NULL"),
    partial("work_look", "look_at", where="look_at IS NOT NULL"),
    partial("work_lease", "lease_until", where="lease_until IS NOT NULL"),
    **NARROW,
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("dispatch_id", Id, primary_key=True),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True, comment="chat, message or follow"),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("verdict", Text),
    *failure(),
    Column("chat_uuid", Text),
    **NARROW,
    **by_day("dispatch_id"),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    **NARROW,
)

slots: Final = Table(
    "slots",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("free", Integer, nullable=False),
    Column("until", BigInteger, nullable=False),
    **NARROW,
)

replicas: Final = Table(
    "replicas",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False, comment="when it was first seen"),
    Column("seen_at", BigInteger, nullable=False),
    **NARROW,
)

counters: Final = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    **NARROW,
)

pauses: Final = Table(
    "pauses",
    metadata,
    Column("reason", Text, primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    **NARROW,
)
