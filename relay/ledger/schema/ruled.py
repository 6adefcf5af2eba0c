"""What rules remember."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text, false

from relay.ledger.schema.base import NARROW, Id, metadata, partial

rule_keys: Final = Table(
    "rule_keys",
    metadata,
    Column("hash", LargeBinary, primary_key=True, comment="SHA-256 of rule and rendered key, then the key's name"),
    Column("rule", Text, nullable=False),
    Column("value", Text, comment="of changed a hash, of newest the greatest number, else JSON"),
    Column("dispatch_id", Id, comment="the dispatch that has the key (once), or the turn of its queue"),
    Column("expires_at", BigInteger, nullable=False),
    Index("rule_keys_expires", "expires_at"),
    partial("rule_keys_once", "dispatch_id", where="value IS NULL"),
    **NARROW,
)

windows: Final = Table(
    "windows",
    metadata,
    Column("id", Id, primary_key=True, comment="the dispatch that opened it"),
    Column("key", LargeBinary, nullable=False, comment="the hash of its key in debounce"),
    Column("keep", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closes_at", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("size", BigInteger, nullable=False, comment="of the bodies, in bytes"),
    Index("windows_key", "key"),
    Index("windows_closes", "closes_at"),
    **NARROW,
)

rule_versions: Final = Table(
    "rule_versions",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("text", Text, nullable=False, comment="JSON: the rule, and the constants that it names"),
    Column("seen_at", BigInteger, nullable=False, comment="when a relay last had it in force, to the hour"),
    Index("rule_versions_seen", "seen_at"),
)

rule_sets: Final = Table(
    "rule_sets",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("versions", Text, nullable=False, comment="JSON list of hashes in rule_versions, in the order of the rules"),
    Column("seen_at", BigInteger, nullable=False, comment="when a relay last had it in force, to the hour"),
    Index("rule_sets_seen", "seen_at"),
)

paused_rules: Final = Table(
    "paused_rules",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_at", BigInteger, nullable=False),
    Column(
        "resuming",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="it is resumed, and what was held is being let go",
    ),
    **NARROW,
)
