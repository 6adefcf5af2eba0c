"""Bringing a ledger's schema up to date with alembic, from the steps inside the package."""

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
"""The advisory lock under which one of many replicas migrates ("Rela")."""


def upgrade(conn: Connection, _now: int = 0) -> list[str]:
    """Apply what is pending within the transaction of the connection; the steps that were applied.

    On PostgreSQL under an advisory lock until the commit, so that replicas may all try.
    """
    lock(conn)
    steps = pending(conn)
    if steps:
        config = _config()
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
    return steps


def lock(conn: Connection) -> None:
    """On PostgreSQL one replica at a time, until the end of this transaction: behind a pooler nothing lasts longer."""
    if not is_alone(conn):
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def found(conn: Connection, schema: str) -> None:
    """Make a schema and go on in it."""
    conn.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")


def current(conn: Connection) -> str | None:
    """The step at which the schema is, None for an empty one."""
    return MigrationContext.configure(conn).get_current_revision()


def script(at: str | None) -> str:
    """The SQL of the steps after `at`, for PostgreSQL; empty when there are none."""
    known = ScriptDirectory.from_config(_config())
    if at == known.get_current_head():
        return ""
    config = _config()
    config.output_buffer = buffer = StringIO()
    command.upgrade(config, f"{at or 'base'}:head", sql=True)
    return buffer.getvalue().strip()


def pending(conn: Connection, _now: int = 0) -> list[str]:
    """The steps still to be applied, oldest first. Raises Unusable when the ledger is newer than this release."""
    script = ScriptDirectory.from_config(_config())
    heads = MigrationContext.configure(conn).get_current_heads()
    known = {step.revision for step in script.walk_revisions()}
    if unknown := set(heads) - known:
        raise Unusable(
            f"the ledger's schema ({', '.join(sorted(unknown))}) is newer than this release: run the newer release"
        )
    return [step.revision for step in reversed(list(script.iterate_revisions("heads", heads or "base")))]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
