"""What people look at and do: problems, alerts, acts, jobs, sessions of browsers that they have ended."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from relay.ledger.schema.base import NARROW, Id, metadata, partial

problems: Final = Table(
    "problems",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", LargeBinary, nullable=False, comment="SHA-256 of kind, source, rule, code and detail"),
    Column("kind", Text, nullable=False),
    Column("source", Text),
    Column("rule", Text),
    Column("code", Text),
    Column("detail", Text),
    Column("state", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("good_at", BigInteger, comment="when its source accepted an event or its rule made a chat since"),
    Column("until", BigInteger, comment="when it is over, unless it is seen again; null: by the rule of its kind"),
    Column("resolved_at", BigInteger),
    Column("acknowledged_by", Text),
    Column("event_id", Id),
    Column("dispatch_id", Id),
    Column("told", Text, comment="the last message about it: opened, spent (of a budget) or resolved"),
    Column("told_at", BigInteger, nullable=False, server_default="0", comment="of the last message about its key"),
    Column("tell_at", BigInteger, comment="when the next message is due; null for none"),
    Index("problems_key", "key", "id"),
    partial("problems_unresolved", "key", where="state <> 'resolved'", unique=True),
    partial("problems_tell", "tell_at", where="tell_at IS NOT NULL"),
    partial("problems_resolved", "resolved_at", where="resolved_at IS NOT NULL"),
)

alerts: Final = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True, comment="of the message, which is its webhook-id"),
    Column("receiver", Text, primary_key=True, comment="the fingerprint of the URL"),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, comment="while leased: the end of the lease"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("body", Text, nullable=False),
    Index("alerts_due", "due_at"),
    **NARROW,
)

acts: Final = Table(
    "acts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Text),
    Column("event_id", Id, comment="the event that it belongs to"),
    partial("acts_event", "event_id", where="event_id IS NOT NULL"),
    Index("acts_at", "at"),
)

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("aim", Text, nullable=False, comment="JSON: which events, and what to do with them"),
    Column("actor", Text, nullable=False),
    Column("total", BigInteger, nullable=False, comment="events, counted at the start"),
    Column("done", BigInteger, nullable=False, server_default="0"),
    Column("made", BigInteger, nullable=False, server_default="0"),
    Column("skipped", BigInteger, nullable=False, server_default="0"),
    Column("failed", BigInteger, nullable=False, server_default="0"),
    Column("rules", Text, nullable=False, comment="JSON object: how many each rule made"),
    Column("fault_event", Id, comment="the last event that failed"),
    Column("fault", Text, comment="why it failed, or why the job did"),
    Column("cursor", Id, nullable=False, comment="the last event that was done"),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    partial("jobs_running", "id", where="state = 'running'"),
)

ended_sessions: Final = Table(
    "ended_sessions",
    metadata,
    Column("hash", LargeBinary, primary_key=True, comment="SHA-256 of what the cookie states"),
    Column("until", BigInteger, nullable=False, comment="when it would have ended by itself"),
    Index("ended_sessions_until", "until"),
    **NARROW,
)
