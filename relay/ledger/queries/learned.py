"""Secrets that handshakes brought: the first of a source is kept until a person forgets it."""

from typing import Final

from sqlalchemy import Connection, delete, select

from relay.ledger.engine.sql import upsert
from relay.ledger.engine.vault import Locked, Vault, vault_of
from relay.ledger.schema import learned
from relay.secret import Secret

_PLACE: Final = "learned.secret"


def learn(conn: Connection, now: int, *, source: str, secret: Secret) -> bool:
    """Keep the secret unless there is one; whether it is the one that is kept.

    The update changes nothing: it makes the database wait for whoever is first, and tell what that one has kept.
    """
    vault = vault_of(conn)
    kept = vault.seal_text(secret.reveal(), _PLACE, source)
    put = upsert(conn.dialect.name, learned).values(source=source, secret=kept, at=now)
    first = put.on_conflict_do_update(index_elements=[learned.c.source], set_={"at": learned.c.at})
    return _opened(vault, source, conn.execute(first.returning(learned.c.secret)).scalar_one()) == secret


def secrets(conn: Connection, _now: int) -> dict[str, Secret]:
    """All that can be read, by source."""
    vault = vault_of(conn)
    found = {row.source: _opened(vault, row.source, row.secret) for row in conn.execute(select(learned))}
    return {source: secret for source, secret in found.items() if secret is not None}


def _opened(vault: Vault, source: str, kept: str) -> Secret | None:
    """None for one that is locked: its source refuses all until the key is there, or a person forgets the secret."""
    try:
        return Secret(vault.open_text(kept, _PLACE, source))
    except Locked:
        return None


def forget(conn: Connection, _now: int, *, source: str) -> bool:
    """Drop the secret of a source; False when there was none."""
    return conn.execute(delete(learned).where(learned.c.source == source)).rowcount > 0
