"""Writes the SQL script that a database's owner runs when Relay's role may not create tables."""

from typing import Final

from sqlalchemy import Connection

from relay.dsn import Dsn, quote
from relay.ledger.engine import migrate, rights
from relay.ledger.engine.faults import Unusable

_ROLE: Final = "relay"


def draw(conn: Connection, now: int, *, dsn: Dsn) -> str:
    """The script that migrates this database from its present step. Raises Unusable when it cannot hold a ledger."""
    role_rights = rights.look(conn, now, requested=dsn.schema)
    role, schema = role_rights.role, role_rights.schema
    if fault := role_rights.misfit():
        raise Unusable(f"ledger {dsn}: {fault}")
    if rights.VERSIONS in role_rights.closed:
        return write(dsn, None, why=role_rights.lack_of_rows(dsn.schema) or "", role=role, schema=schema)
    return write(dsn, migrate.current(conn), role=role, schema=schema)


def write(dsn: Dsn, at: str | None, *, why: str = "", role: str | None = None, schema: str | None = None) -> str:
    """The script that migrates from the step `at`, None for an empty schema, and grants privileges to `role`.

    `role` is the role that serves; another role, which may create tables, runs the script. `why` is the reason when the
    present step could not be read.
    """
    target = quote(dsn.schema or schema or "public")
    grantee = role or dsn.user
    to = quote(grantee or _ROLE)
    steps = migrate.script(at)
    lines = [f"-- Relay's ledger in the schema {target}, for a role that may make tables there."]
    if why:
        lines.append(
            f"-- The ledger could not be asked what it has, so this is from nothing ({' '.join(why.split())})."
        )
    if steps:
        lines += ["BEGIN;", f"CREATE SCHEMA IF NOT EXISTS {target};" if dsn.schema else ""]
        lines += [f"SET LOCAL search_path TO {target};", steps, "COMMIT;"]
    else:
        lines.append("-- Its tables are up to date.")
    lines += ["", "-- What the role that serves needs, and no more; also for the tables of later releases."]
    mark = "" if grantee else "-- "
    if not grantee:
        lines.append(f"-- ledger.url names no role: put its name in the place of {quote(_ROLE)}.")
    lines += [
        f"{mark}GRANT USAGE ON SCHEMA {target} TO {to};",
        f"{mark}GRANT {rights.ROWS} ON ALL TABLES IN SCHEMA {target} TO {to};",
        f"{mark}ALTER DEFAULT PRIVILEGES IN SCHEMA {target} GRANT {rights.ROWS} ON TABLES TO {to};",
    ]
    return "\n".join(line for line in lines if line or not steps) + "\n"
