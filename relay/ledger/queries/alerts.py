"""Alerts: messages about problems on their way to the receivers that the configuration names."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, select, tuple_, update

from relay.ledger.engine.sql import Row, keep_first, write_many
from relay.ledger.queries.rows import encode
from relay.ledger.schema import alerts
from relay.ledger.terms import Terms
from relay.model import DueAlert, Result
from relay.units import iso

LEASE: Final = 60_000
"""Milliseconds for which a replica holds an alert that it sends."""


def enqueue(conn: Connection, now: int, messages: Sequence[Result], terms: Terms) -> None:
    """Add an alert per message and receiver."""
    rows: list[Row] = [
        {"id": message.id, "receiver": receiver, "created_at": now, "due_at": now, "body": _body(message)}
        for message in sorted(messages, key=lambda message: message.id)
        for receiver in sorted(terms.receivers)
    ]
    write_many(conn, keep_first(alerts, conn.dialect.name), rows)


def _body(message: Result) -> str:
    return encode({"type": str(message.type), "timestamp": iso(message.time), "data": message.data})


def due(conn: Connection, now: int, *, limit: int) -> list[DueAlert]:
    """Lease up to `limit` alerts that are due, oldest first, for 60 s."""
    ready = (
        select(alerts.c.id, alerts.c.receiver)
        .where(alerts.c.due_at <= now)
        .order_by(alerts.c.due_at, alerts.c.id, alerts.c.receiver)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("ready")
    )
    chosen = tuple_(alerts.c.id, alerts.c.receiver).in_(select(ready.c.id, ready.c.receiver))
    lease = update(alerts).where(chosen).values(due_at=now + LEASE)
    columns = (alerts.c.id, alerts.c.receiver, alerts.c.body, alerts.c.tries, alerts.c.created_at)
    rows = conn.execute(lease.returning(*columns)).all()
    leased = [DueAlert(row.id, row.receiver, row.body, row.tries, now - row.created_at) for row in rows]
    return sorted(leased, key=lambda alert: (-alert.age, alert.id, alert.receiver))


def settle(conn: Connection, now: int, *, alert: DueAlert, retry_in: int | None) -> None:
    """Delete an alert that is over, or make it due again in `retry_in` milliseconds."""
    is_it = (alerts.c.id == alert.id, alerts.c.receiver == alert.receiver)
    if retry_in is None:
        conn.execute(delete(alerts).where(*is_it))
    else:
        conn.execute(update(alerts).where(*is_it).values(due_at=now + retry_in, tries=alerts.c.tries + 1))
