"""Secrets from handshakes: the first secret of a source is kept until a person forgets it."""

from typing import Final

from sqlalchemy import Connection, delete, select

from relay.ledger.engine.sql import upsert
from relay.ledger.engine.vault import Locked, Vault, vault_of
from relay.ledger.schema import learned
from relay.secret import Secret

_PLACE: Final = "learned.secret"


def learn(conn: Connection, now: int, *, source: str, secret: Secret) -> bool:
    """Keep the secret unless the source has one. Returns whether this secret is the one that is kept."""
    vault = vault_of(conn)
    sealed_secret = vault.seal_text(secret.reveal(), _PLACE, source)
    insertion = upsert(conn.dialect.name, learned).values(source=source, secret=sealed_secret, at=now)
    # This update changes nothing. Unlike DO NOTHING it waits for a concurrent insert and returns the secret it kept.
    keep_first = insertion.on_conflict_do_update(index_elements=[learned.c.source], set_={"at": learned.c.at})
    return _opened(vault, source, conn.execute(keep_first.returning(learned.c.secret)).scalar_one()) == secret


def secrets(conn: Connection, _now: int) -> dict[str, Secret]:
    """The secrets that can be decrypted, by source."""
    vault = vault_of(conn)
    opened = {row.source: _opened(vault, row.source, row.secret) for row in conn.execute(select(learned))}
    return {source: secret for source, secret in opened.items() if secret is not None}


def _opened(vault: Vault, source: str, sealed_secret: str) -> Secret | None:
    """The secret; None when its key is missing.

    Its source then refuses every request until the key is configured or a person forgets the secret.
    """
    try:
        return Secret(vault.open_text(sealed_secret, _PLACE, source))
    except Locked:
        return None


def forget(conn: Connection, _now: int, *, source: str) -> bool:
    """Delete the secret of a source. Returns False when there was none."""
    return conn.execute(delete(learned).where(learned.c.source == source)).rowcount > 0
