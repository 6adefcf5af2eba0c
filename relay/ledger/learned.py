"""Secrets that handshakes brought: the first of a source is kept until a person forgets it."""

from sqlalchemy import Connection, delete, select

from relay.ledger.schema import learned
from relay.ledger.sql import upsert
from relay.secret import Secret


def learn(conn: Connection, now: int, *, source: str, secret: Secret) -> bool:
    """Keep the secret unless there is one; whether it is the one that is kept.

    The update changes nothing: it makes the database wait for whoever is first, and tell what that one has kept.
    """
    put = upsert(conn.dialect.name, learned).values(source=source, secret=secret.reveal(), at=now)
    first = put.on_conflict_do_update(index_elements=[learned.c.source], set_={"at": learned.c.at})
    return Secret(conn.execute(first.returning(learned.c.secret)).scalar_one()) == secret


def secrets(conn: Connection, _now: int) -> dict[str, Secret]:
    """All of them, by source."""
    return {row.source: Secret(row.secret) for row in conn.execute(select(learned))}


def forget(conn: Connection, _now: int, *, source: str) -> bool:
    """Drop the secret of a source; False when there was none."""
    return conn.execute(delete(learned).where(learned.c.source == source)).rowcount > 0
