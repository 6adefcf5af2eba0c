"""Bringing a ledger's schema up to date with alembic, from the steps inside the package."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from relay.ledger.faults import Unusable
from relay.ledger.sql import is_alone

_LOCK: Final = 0x52656C61
"""The advisory lock under which one of many replicas migrates ("Rela")."""


def upgrade(conn: Connection, _now: int = 0) -> list[str]:
    """Apply what is pending within the transaction of the connection; the steps that were applied.

    On PostgreSQL under an advisory lock until the commit, so that replicas may all try.
    """
    if not is_alone(conn):
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    steps = pending(conn)
    if steps:
        config = _config()
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
    return steps


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
