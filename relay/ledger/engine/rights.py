"""Checks the PostgreSQL database and the privileges of Relay's role, when a ledger is opened and from time to time.

One statement reads everything. Each fault is reported with the SQL that fixes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, text

from relay.dsn import quote
from relay.ledger.engine.faults import READ_ONLY
from relay.ledger.schema import metadata

VERSIONS: Final = "alembic_version"
TABLES: Final = (VERSIONS, *sorted(metadata.tables))
ROWS: Final = "SELECT, INSERT, UPDATE, DELETE"
_LOOK: Final = text(
    """
    SELECT current_user AS role, current_database() AS database, current_schema() AS schema,
      current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS standby,
      current_setting('transaction_read_only') = 'on' AS read_only,
      (SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = current_schema()) AS creates,
      has_database_privilege(current_database(), 'CREATE') AS founds,
      ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname IN :names ORDER BY 1) AS schemas,
      ARRAY(
        SELECT relname::text FROM pg_class WHERE relname IN :tables AND relkind IN ('r', 'p')
          AND pg_table_is_visible(oid)
          AND NOT (has_table_privilege(oid, 'SELECT') AND (relname = :versions OR (has_table_privilege(oid, 'INSERT')
          AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))))
        ORDER BY 1
      ) AS closed
    """
).bindparams(
    bindparam("names", expanding=True), bindparam("tables", TABLES, expanding=True), bindparam("versions", VERSIONS)
)


@dataclass(frozen=True, slots=True)
class Rights:
    """The state of a database and the privileges of a role in it.

    `schema` is the current schema, in which tables are found and created; None when the role may use none. `standby`
    and `read_only` say that the server takes no writes. `creates` says that the role may create tables in `schema`,
    `founds` that it may create schemas. `there` says that the requested schema exists. `closed` holds the ledger's
    tables whose rows the role may not read and write.
    """

    role: str
    database: str
    schema: str | None
    encoding: str
    standby: bool
    read_only: bool
    creates: bool
    founds: bool
    there: bool
    closed: Sequence[str]

    def misfit(self) -> str | None:
        """Why this database cannot hold a ledger, whatever the role's privileges; None when it can."""
        if self.encoding != "UTF8":
            return (
                f"the database {self.database} is in {self.encoding}, which cannot hold every text: make one in UTF8 "
                f"and name it in ledger.url: CREATE DATABASE relay ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' "
                f"TEMPLATE template0 OWNER {quote(self.role)};"
            )
        if self.standby:
            return "the server is a standby and takes no writes: name the primary in ledger.url, or all hosts"
        if self.read_only:
            return (
                "the database takes no writes, default_transaction_read_only is on: ALTER DATABASE "
                f"{quote(self.database)} SET default_transaction_read_only = off; (or for the role, or the server)"
            )
        return None

    def lack_of_rows(self, requested: str | None) -> str | None:
        """What the role lacks to read and write rows; None for nothing. `requested` is the configured schema."""
        if self.schema is None:
            return self._lack_of_schema(requested)
        if self.closed:
            tables = "the tables" if len(self.closed) > 3 else ", ".join(self.closed)
            return (
                f"the role {self.role} may not read and write {tables}: {grant_rows(self.schema, self.role)} "
                "(run by the tables' owner)"
            )
        return None

    def lack_of_making(self, requested: str | None) -> str | None:
        """What the role lacks to create tables; None for nothing.

        A missing schema is no lack when the role may create schemas: the migration creates it.
        """
        if self.schema is None:
            can_create_schema = requested is not None and not self.there and self.founds
            return None if can_create_schema else self._lack_of_schema(requested)
        if not self.creates:
            return (
                f"the role {self.role} may not make tables in the schema {self.schema}: GRANT USAGE, CREATE ON SCHEMA "
                f"{quote(self.schema)} TO {quote(self.role)}; (run by the database's owner), or let a role that may "
                "run what `relay migrate --sql` prints"
            )
        return None

    def _lack_of_schema(self, requested: str | None) -> str:
        role = quote(self.role)
        if requested is None or self.there:
            name = requested or "public"
            return (
                f"the role {self.role} may not use the schema {name}: GRANT USAGE, CREATE ON SCHEMA {quote(name)} TO "
                f"{role}; (run by the database's owner)"
            )
        return (
            f"there is no schema {requested}, and the role {self.role} may not make it: CREATE SCHEMA "
            f"{quote(requested)} AUTHORIZATION {role}; (run by the database's owner)"
        )


def look(conn: Connection, _now: int = 0, *, requested: str | None = None) -> Rights:
    """Read the privileges of this connection's role. `requested` is the configured schema, None for the default."""
    row = dict(conn.execute(_LOOK, {"names": [requested or "public"]}).mappings().one())
    schemas = row.pop("schemas")
    return Rights(**{**row, "creates": bool(row["creates"])}, there=bool(schemas))


def trouble(conn: Connection, _now: int = 0) -> str | None:
    """Why an open ledger cannot be written now (a failover, a privilege that was revoked); None when it can."""
    rights = look(conn)
    if rights.standby or rights.read_only:
        return f"the ledger's database takes no writes: {READ_ONLY}"
    return rights.lack_of_rows(None)


def grant_rows(schema: str, role: str) -> str:
    """The GRANTs that a role needs to serve: access to rows and nothing else."""
    schema, role = quote(schema), quote(role)
    return f"GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT {ROWS} ON ALL TABLES IN SCHEMA {schema} TO {role};"
