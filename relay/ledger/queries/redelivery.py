"""Messages without an id that a broker delivers again: each acceptance of ours makes one of them a duplicate, no more.

The broker's flag alone says only that somebody had the message before. It is ours when the very same delivery was
accepted (the answer of the commit was lost, and it is tried again), or when the same content was accepted on another
channel: as long as a channel lives, what came on it does not come again. An acceptance that told a duplicate belongs
from then on to the delivery that it told, so that equal messages are counted and not thrown together.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from relay.ledger.engine.sql import Found, run
from relay.ledger.engine.writes import Writes
from relay.ledger.schema import acceptances
from relay.model import Event

LIFETIME: Final = 3_600_000
"""Milliseconds for which a content without an id is known."""

_SAME: Final = select(acceptances.c.event_id).where(
    acceptances.c.key == bindparam("of"), acceptances.c.expires_at > bindparam("now")
)
_OTHER: Final = (
    select(acceptances.c.key, acceptances.c.event_id)
    .where(
        acceptances.c.content == bindparam("what"),
        acceptances.c.session != bindparam("here"),
        acceptances.c.expires_at > bindparam("now"),
    )
    .order_by(acceptances.c.event_id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_TAKE: Final = delete(acceptances).where(acceptances.c.key == bindparam("of"))
_PUT: Final = insert(acceptances)

Nameless = Sequence[tuple[bytes, Event]]
"""Events without an id, each with the SHA-256 of its source and content."""


def find(conn: Connection, now: int, batch: Nameless) -> dict[str, Found]:
    """What was accepted before of these, by the ids of their events; all are accepted from now on."""
    again: dict[str, Found] = {}
    put: list[tuple[bytes, bytes, str, str]] = []
    for content, event in batch:
        if event.session is None:
            continue
        key = _key(event)
        first = _first(conn, now, key, content, event)
        if first is not None:
            again[event.id] = {"event_id": first, "digest": event.digest}
        put.append((key, content, event.session, event.id if first is None else first))
    if put:
        _keep(conn, now, put)
    return again


def _first(conn: Connection, now: int, key: bytes, content: bytes, event: Event) -> str | None:
    """The event that this delivery, or the one that it repeats, became."""
    for row in run(conn, _SAME, {"of": key, "now": now}):
        run(conn, _TAKE, {"of": key})
        return str(row["event_id"])
    if not event.redelivered:
        return None
    for row in run(conn, _OTHER, {"what": content, "here": event.session, "now": now}):
        run(conn, _TAKE, {"of": row["key"]})
        return str(row["event_id"])
    return None


def _keep(conn: Connection, now: int, put: Sequence[tuple[bytes, bytes, str, str]]) -> None:
    keys, contents, sessions, events = map(list, zip(*sorted(put), strict=True))
    columns = {"key": keys, "content": contents, "session": sessions, "event_id": events}
    with Writes(conn) as writes:
        writes.insert(_PUT, {**columns, "expires_at": [now + LIFETIME] * len(keys)})


def _key(event: Event) -> bytes:
    return sha256(f"{len(event.source)} {event.source} {event.session} {event.delivery}".encode()).digest()
