"""What comes in: events and their identities, refused requests, dead letters."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from relay.ledger.schema.base import NARROW, Id, by_day, metadata, partial

events: Final = Table(
    "events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Text, nullable=False),
    Column("origin", Text),
    Column("external_id", Text),
    Column("type", Text),
    Column("subject", Text),
    Column("time", BigInteger),
    Column("received_at", BigInteger, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("data", Text, comment="JSON; null when raw is the JSON of it, or unreadable"),
    Column("digest", LargeBinary, nullable=False),
    Column("traceparent", Text),
    Column("correlation_id", Text),
    Column("reply_to", Text),
    Column("status", Text, nullable=False),
    Column("unreadable", Text),
    Column("skips", Text, comment="JSON list of rules that matched and made no dispatch; null for none"),
    Column("rule_set", Text, comment="the hash in rule_sets of the rules that decided it; null for none"),
    Index("events_source", "source", "id"),
    partial("events_unmatched", "id", where="status = 'unmatched'"),
    **by_day("id"),
)

seen: Final = Table(
    "seen",
    metadata,
    Column("key", LargeBinary, primary_key=True, comment="SHA-256 of the identity"),
    Column("event_id", Id, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("seen_expires", "expires_at"),
    postgresql_partition_by="HASH (key)",
    **NARROW,
)

acceptances: Final = Table(
    "acceptances",
    metadata,
    Column("key", LargeBinary, primary_key=True, comment="SHA-256 of the source and the delivery"),
    Column("content", LargeBinary, nullable=False, comment="SHA-256 of the source and the content"),
    Column("session", Text, nullable=False, comment="the channel on which it came last"),
    Column("event_id", Id, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("acceptances_content", "content", "event_id"),
    Index("acceptances_expires", "expires_at"),
    **NARROW,
)

labels: Final = Table(
    "labels",
    metadata,
    Column("name", Id, primary_key=True),
    Column("value", Id, primary_key=True),
    Column("event_id", Id, primary_key=True),
    Index("labels_event", "event_id"),
    **NARROW,
    **by_day("event_id"),
)

rejections: Final = Table(
    "rejections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("remote", Text),
    Column("headers", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("readmitted", Text, comment="JSON list of the events it became; null until then"),
    Index("rejections_source", "source", "at", "id"),
    Index("rejections_reason", "source", "reason", "at", "id"),
)

kept: Final = Table(
    "kept",
    metadata,
    Column("id", Id, primary_key=True, comment="of the rejection"),
    Column("source", Text, nullable=False),
    Column("size", BigInteger, nullable=False, comment="of the body, in bytes"),
    Column("expires_at", BigInteger, nullable=False),
    Column("request", Text, nullable=False, comment="JSON in ASCII: method, url, headers"),
    Column("body", LargeBinary, nullable=False),
    Index("kept_source", "source", "id", "size"),
    Index("kept_expires", "expires_at"),
)

learned: Final = Table(
    "learned",
    metadata,
    Column("source", Text, primary_key=True),
    Column("secret", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    **NARROW,
)

paused_sources: Final = Table(
    "paused_sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_at", BigInteger, nullable=False),
    **NARROW,
)

suspects: Final = Table(
    "suspects",
    metadata,
    Column("key", LargeBinary, primary_key=True, comment="SHA-256 of the queue and the message"),
    Column("deaths", Integer, nullable=False),
    Column("owner", Text, comment="the replica that reads it now"),
    Column("at", BigInteger, nullable=False),
    Index("suspects_at", "at"),
    **NARROW,
)

dead: Final = Table(
    "dead",
    metadata,
    Column("id", Id, primary_key=True, comment="also the header relay-id of the letter"),
    Column("at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("message_id", Text),
    Column("type", Text),
    Column("content_type", Text),
    Column("headers", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("requeued_at", BigInteger),
    Index("dead_source", "source", "id"),
)
