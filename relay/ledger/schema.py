"""The tables of the ledger, the same on SQLite and PostgreSQL.

`events`, `dispatches`, `results` and `attempts` are wide and mostly inserted into. `work` and `outbox` are narrow and
hold only what is in progress: `work` has one row per live dispatch, `outbox` one per result and destination that is not
confirmed yet. Their rows are deleted at the end, so that the cost of a claim does not grow with history. `seen` stores
identities separately, so that they outlive pruned events. `acceptances` has one row per accepted message without an
id, for an hour: it makes one redelivery of that message a duplicate.

- A dispatch is live while it has a row in `work`. `dispatches.state` is null then, and is written once, when the
  dispatch ends or is parked, which deletes the row of `work`. A retry by hand inserts a new row, whose `fence` must be
  above that of any former row: it is the time in milliseconds.
- In `work`, exactly the times that apply to the state are set: `due_at` while the row can be claimed (`ready`,
  `waiting`, `messaging`), `lease_until` while a replica works on it (`sending`, `messaging`), `look_at` in `checking`,
  none in `held`. `number` counts the rows of `attempts` of the same kind, `attempts` the calls that count towards the
  chat.
- `counters` has four rows: `position` (the last cursor given to a result), `pace` (the next free start under
  `cargo.rate`, in microseconds), `paused` (milliseconds of global pauses that have ended), `paused_since` (start of the
  present pause, else 0).
- Only `kept` and `learned` hold credentials: those of refused requests, for as long as the requests can be verified
  again, and the secrets that handshakes brought. Only verification reads them.
- Future rules (`once`, `debounce`, `order`, `limit`, `budget`) get tables of their own.

Times are integers, milliseconds UTC by the database's clock. Exceptions, which come from outside it, are `events.time`,
`events.received_at`, `results.time`, `rejections.at` and `kept.expires_at`. JSON is stored as text. There are no
foreign keys: related rows are inserted together and pruned together, and checks would slow down every insert.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, false, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

metadata: Final = MetaData()

Id: Final[TypeEngine[str]] = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Compared byte by byte, as Python sorts, because locks are taken in this order on both sides."""

_NARROW: Final[dict[str, Any]] = {"sqlite_with_rowid": False}


def _failure() -> tuple[Column[Any], ...]:
    return Column("failure_code", Text), Column("failure_status", Integer), Column("failure_message", Text)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


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
    Index("events_source", "source", "id"),
    _partial("events_unmatched", "id", where="status = 'unmatched'"),
)

seen: Final = Table(
    "seen",
    metadata,
    Column("key", LargeBinary, primary_key=True, comment="SHA-256 of the identity"),
    Column("event_id", Id, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("seen_expires", "expires_at"),
    **_NARROW,
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
    **_NARROW,
)

dispatches: Final = Table(
    "dispatches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event_id", Id, nullable=False),
    Column("source", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("body", Text),
    Column("message", Text),
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
    *_failure(),
    Column("updated_at", BigInteger, nullable=False),
    Index("dispatches_event", "event_id"),
    _partial("dispatches_trouble", "state", "event_id", where="state <> 'done'"),
)

work: Final = Table(
    "work",
    metadata,
    Column("dispatch_id", Id, primary_key=True),
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
    Column("last_ended_at", BigInteger, comment="end of the last attempt, or of its lease"),
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("doubt", Boolean, nullable=False, server_default=false()),
    Column("cancelling", Boolean, nullable=False, server_default=false()),
    _partial("work_due", "due_at", "dispatch_id", where="due_at IS NOT NULL"),
    _partial("work_look", "look_at", where="look_at IS NOT NULL"),
    _partial("work_lease", "lease_until", where="lease_until IS NOT NULL"),
    **_NARROW,
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("dispatch_id", Id, primary_key=True),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True, comment="chat or message"),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("verdict", Text),
    *_failure(),
    Column("chat_uuid", Text),
    **_NARROW,
)

results: Final = Table(
    "results",
    metadata,
    Column("id", Id, primary_key=True),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("event_id", Id, nullable=False),
    Column("dispatch_id", Id),
    Column("time", BigInteger, nullable=False),
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
    _partial("results_position", "position", where="position IS NOT NULL", unique=True),
    _partial("results_unsequenced", "created_at", "id", where="position IS NULL"),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("result_id", Id, primary_key=True),
    Column("destination", Text, primary_key=True, comment="empty for the result exchange, else a reply queue"),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, comment="while leased: the end of the lease"),
    Column("lease_until", BigInteger),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Index("outbox_due", "due_at", "result_id"),
    _partial("outbox_lease", "lease_until", where="lease_until IS NOT NULL"),
    **_NARROW,
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    **_NARROW,
)

slots: Final = Table(
    "slots",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("free", Integer, nullable=False),
    Column("until", BigInteger, nullable=False),
    **_NARROW,
)

counters: Final = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    **_NARROW,
)
COUNTERS: Final = ("pace", "paused", "paused_since", "position")

pauses: Final = Table(
    "pauses",
    metadata,
    Column("reason", Text, primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    **_NARROW,
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
    **_NARROW,
)

paused_sources: Final = Table(
    "paused_sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_at", BigInteger, nullable=False),
    **_NARROW,
)

suspects: Final = Table(
    "suspects",
    metadata,
    Column("key", LargeBinary, primary_key=True, comment="SHA-256 of the queue and the message"),
    Column("deaths", Integer, nullable=False),
    Column("owner", Text, comment="the replica that reads it now"),
    Column("at", BigInteger, nullable=False),
    Index("suspects_at", "at"),
    **_NARROW,
)
