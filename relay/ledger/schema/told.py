"""What is told: results, and where they still must go."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from relay.ledger.schema.base import NARROW, Id, by_day, metadata, partial

results: Final = Table(
    "results",
    metadata,
    Column("id", Id, primary_key=True),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("event_id", Id, nullable=False),
    Column("dispatch_id", Id),
    Column("time", BigInteger, nullable=False),
    Column("exchange", Text, comment="null for the result exchange"),
    Column("routing_key", Text),
    Column("data", Text, nullable=False),
    Column("correlation_id", Text),
    Column("reply_to", Text),
    Column("traceparent", Text),
    Column("chat_uuid", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("position", BigInteger, comment="the cursor of the stream; null until it is sequenced"),
    Column("undeliverable", Text, comment="JSON list of destinations given up"),
    Index("results_event", "event_id"),
    partial("results_position", "position", where="position IS NOT NULL"),
    partial("results_unsequenced", "created_at", "id", where="position IS NULL"),
    **by_day("id"),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("result_id", Id, primary_key=True),
    Column("destination", Text, primary_key=True, comment="empty for the result exchange, else a reply queue"),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, comment="while leased: the end of the lease"),
    Column("lease_until", BigInteger),
    Column("owner", Text, comment="the replica that holds the lease"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Index("outbox_due", "due_at", "result_id"),
    partial("outbox_lease", "lease_until", where="lease_until IS NOT NULL"),
    **NARROW,
)
