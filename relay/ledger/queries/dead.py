"""The records of dead letters. The messages themselves are in RabbitMQ, in the queue `relay.dead`."""

import json
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, RowMapping, delete, select, update

from relay.ledger.engine.sql import Row, keep_first, write_many
from relay.ledger.queries.rows import encode
from relay.ledger.schema import dead
from relay.ledger.terms import Terms
from relay.model import DeadLetter, DeadPage, first_id

MOST: Final = 10_000
"""Records that are kept per source."""
AT_ONCE: Final = 500
"""Records that one turn of pruning deletes per reason to delete them, and ids in one statement."""

_SAME: Final = (
    *("id", "at", "source", "queue", "reason", "error", "routing_key", "message_id", "type", "content_type"),
    *("size", "digest", "requeued_at"),
)
"""The fields that are stored unchanged in columns of the same name."""


def note(conn: Connection, _now: int, batch: Sequence[DeadLetter]) -> list[None]:
    """Store records. A record that exists is left unchanged."""
    rows = [_row(letter) for letter in sorted(batch, key=lambda letter: letter.id)]
    write_many(conn, keep_first(dead, conn.dialect.name), rows)
    return [None] * len(batch)


def weigh(letter: DeadLetter) -> int:
    """The approximate number of bytes that a record holds until it is committed."""
    return sum(len(name) + len(value) for name, value in letter.headers.items())


def drop(conn: Connection, _now: int, *, letter_id: str) -> None:
    """Delete the record of a letter that RabbitMQ did not take."""
    conn.execute(delete(dead).where(dead.c.id == letter_id))


def page(conn: Connection, _now: int, *, source: str | None, cursor: str | None, limit: int) -> DeadPage:
    """A page of records, newest first, by the primary key or by the index `dead_source`."""
    newest = select(dead).order_by(dead.c.id.desc()).limit(limit + 1)  # one more tells whether there is a next page
    if source is not None:
        newest = newest.where(dead.c.source == source)
    if cursor is not None:
        newest = newest.where(dead.c.id < cursor)
    letters = tuple(_letter(row) for row in conn.execute(newest).mappings())
    more = len(letters) > limit
    return DeadPage(letters[:limit], letters[limit - 1].id if more else None)


def mark(conn: Connection, now: int, *, letter_ids: Sequence[str]) -> None:
    """Note that messages were sent back to their queues."""
    for start in range(0, len(letter_ids), AT_ONCE):
        some = letter_ids[start : start + AT_ONCE]
        conn.execute(update(dead).where(dead.c.id.in_(some)).values(requeued_at=now))


def expire(conn: Connection, now: int, *, terms: Terms) -> int:
    """Delete records older than `retain`, and the oldest beyond `MOST` per source. Returns how many.

    One turn deletes at most `AT_ONCE` of each.
    """
    old = select(dead.c.id).where(dead.c.id < first_id(now - terms.retain)).limit(AT_ONCE)
    deleted = conn.execute(delete(dead).where(dead.c.id.in_(old))).rowcount
    for source in conn.execute(select(dead.c.source).distinct()).scalars().all():
        of_source = select(dead.c.id).where(dead.c.source == source)
        newest = of_source.order_by(dead.c.id.desc())
        surplus = conn.execute(newest.offset(MOST).limit(1)).scalar()
        if surplus is not None:
            oldest = of_source.where(dead.c.id <= surplus).order_by(dead.c.id).limit(AT_ONCE)
            deleted += conn.execute(delete(dead).where(dead.c.id.in_(oldest))).rowcount
    return deleted


def _row(letter: DeadLetter) -> Row:
    return {name: getattr(letter, name) for name in _SAME} | {"headers": encode(dict(letter.headers))}


def _letter(row: RowMapping) -> DeadLetter:
    return DeadLetter(**{name: row[name] for name in _SAME}, headers=json.loads(row["headers"]))
