"""Migrates a ledger's schema with alembic. The steps are part of the package."""

from io import StringIO
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from relay.dsn import quote
from relay.ledger.engine.faults import Unusable
from relay.ledger.engine.sql import is_alone

_LOCK: Final = 0x52656C61
"""The key of the advisory lock that a replica holds while it migrates ("Rela" in ASCII)."""


def upgrade(conn: Connection, _now: int = 0) -> list[str]:
    """Apply the pending steps in the transaction of the connection. Returns the steps that were applied.

    Several replicas may call this at once: on PostgreSQL an advisory lock is held until the commit.
    """
    lock(conn)  # before `pending` reads: the replica that waited must see what the other one has committed
    steps = pending(conn)
    if steps:
        config = _config()
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
    return steps


def lock(conn: Connection) -> None:
    """Let one replica at a time go on, until the end of this transaction. Does nothing on SQLite.

    The lock belongs to the transaction and not to the session, because a pooler gives each transaction another session.
    """
    if not is_alone(conn):
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def found(conn: Connection, schema: str) -> None:
    """Create the schema unless it exists."""
    conn.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")


def current(conn: Connection) -> str | None:
    """The last step that was applied; None for an empty schema."""
    return MigrationContext.configure(conn).get_current_revision()


def script(at: str | None) -> str:
    """The SQL of the steps after `at`, for PostgreSQL. Empty when there are none."""
    if at == ScriptDirectory.from_config(_config()).get_current_head():
        return ""
    config = _config()
    config.output_buffer = buffer = StringIO()
    command.upgrade(config, f"{at or 'base'}:head", sql=True)
    return buffer.getvalue().strip()


def pending(conn: Connection, _now: int = 0) -> list[str]:
    """The steps that are not applied yet, oldest first. Raises Unusable when the ledger is newer than this release."""
    script = ScriptDirectory.from_config(_config())
    heads = MigrationContext.configure(conn).get_current_heads()
    if unknown := set(heads) - {step.revision for step in script.walk_revisions()}:
        raise Unusable(
            f"the ledger's schema ({', '.join(sorted(unknown))}) is newer than this release: run the newer release"
        )
    return [step.revision for step in reversed(list(script.iterate_revisions("heads", heads or "base")))]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
