"""What a database's owner runs where Relay's own role may make no tables."""

from typing import Final

from sqlalchemy import Connection

from relay.dsn import Dsn, quote
from relay.ledger.engine import migrate, rights
from relay.ledger.engine.faults import Unusable

_ROLE: Final = "relay"


def draw(conn: Connection, now: int, *, dsn: Dsn) -> str:
    """The script from where this database stands. Raises Unusable when it can be no ledger."""
    found = rights.look(conn, now, wanted=dsn.schema)
    if fault := found.misfit():
        raise Unusable(f"ledger {dsn}: {fault}")
    if rights.VERSIONS in found.closed:
        return write(dsn, None, why=found.lack_of_rows(dsn.schema) or "", role=found.role, schema=found.schema)
    return write(dsn, migrate.current(conn), role=found.role, schema=found.schema)


def write(dsn: Dsn, at: str | None, *, why: str = "", role: str | None = None, schema: str | None = None) -> str:
    """The script from the step `at`, None for nothing. `why` says that the ledger could not be asked.

    Run by one who may make tables; `role` is the one that serves.
    """
    where = quote(dsn.schema or schema or "public")
    who = role or dsn.user
    steps = migrate.script(at)
    lines = [f"-- Relay's ledger in the schema {where}, for a role that may make tables there."]
    if why:
        lines.append(
            f"-- The ledger could not be asked what it has, so this is from nothing ({' '.join(why.split())})."
        )
    if steps:
        lines += ["BEGIN;", f"CREATE SCHEMA IF NOT EXISTS {where};" if dsn.schema else ""]
        lines += [f"SET LOCAL search_path TO {where};", steps, "COMMIT;"]
    else:
        lines.append("-- Its tables are up to date.")
    lines += ["", "-- What the role that serves needs, and no more; also for the tables of later releases."]
    mark = "" if who else "-- "
    if not who:
        lines.append(f"-- ledger.url names no role: put its name in the place of {quote(_ROLE)}.")
    lines += [
        f"{mark}GRANT USAGE ON SCHEMA {where} TO {quote(who or _ROLE)};",
        f"{mark}GRANT {rights.ROWS} ON ALL TABLES IN SCHEMA {where} TO {quote(who or _ROLE)};",
        f"{mark}ALTER DEFAULT PRIVILEGES IN SCHEMA {where} GRANT {rights.ROWS} ON TABLES TO {quote(who or _ROLE)};",
    ]
    return "\n".join(line for line in lines if line or not steps) + "\n"
