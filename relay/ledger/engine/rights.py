"""What a PostgreSQL must be, and what a role must be allowed, looked at when a ledger is opened and from time to time.

All of it is asked in one statement, and told with the SQL that mends it.
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
    """`schema` is where tables are found and made, None where there is none that the role may use.

    `creates` says that it may make tables there, `founds` that it may make schemas; `closed` are the tables of the
    ledger whose rows it may not read and write. `there` says that the schema which was asked for exists.
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
        """Why this database can be no ledger, whatever the role may do."""
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

    def lack_of_rows(self, wanted: str | None) -> str | None:
        """What the role needs to read and write rows. `wanted` is the schema that was asked for."""
        if self.schema is None:
            return self._lack_of_schema(wanted)
        if self.closed:
            tables = "the tables" if len(self.closed) > 3 else ", ".join(self.closed)
            return (
                f"the role {self.role} may not read and write {tables}: {grant_rows(self.schema, self.role)} "
                "(run by the tables' owner)"
            )
        return None

    def lack_of_making(self, wanted: str | None) -> str | None:
        """What the role needs to make tables; a schema that is missing is made, where it may do so."""
        if self.schema is None:
            return None if wanted is not None and not self.there and self.founds else self._lack_of_schema(wanted)
        if not self.creates:
            return (
                f"the role {self.role} may not make tables in the schema {self.schema}: GRANT USAGE, CREATE ON SCHEMA "
                f"{quote(self.schema)} TO {quote(self.role)}; (run by the database's owner), or let a role that may "
                "run what `relay migrate --sql` prints"
            )
        return None

    def _lack_of_schema(self, wanted: str | None) -> str:
        role = quote(self.role)
        if wanted is None or self.there:
            name = wanted or "public"
            return (
                f"the role {self.role} may not use the schema {name}: GRANT USAGE, CREATE ON SCHEMA {quote(name)} TO "
                f"{role}; (run by the database's owner)"
            )
        return (
            f"there is no schema {wanted}, and the role {self.role} may not make it: CREATE SCHEMA {quote(wanted)} "
            f"AUTHORIZATION {role}; (run by the database's owner)"
        )


def look(conn: Connection, _now: int = 0, *, wanted: str | None = None) -> Rights:
    """What the role of this connection may do; `wanted` is the schema that was asked for."""
    row = dict(conn.execute(_LOOK, {"names": [wanted or "public"]}).mappings().one())
    schemas = row.pop("schemas")
    return Rights(**{**row, "creates": bool(row["creates"])}, there=bool(schemas))


def trouble(conn: Connection, _now: int = 0) -> str | None:
    """Why a ledger that was open cannot be written now: a failover, a right that was taken away."""
    rights = look(conn)
    if rights.standby or rights.read_only:
        return f"the ledger's database takes no writes: {READ_ONLY}"
    return rights.lack_of_rows(None)


def grant_rows(schema: str, role: str) -> str:
    """What lets a role serve: rows, and nothing else."""
    where, who = quote(schema), quote(role)
    return f"GRANT USAGE ON SCHEMA {where} TO {who}; GRANT {ROWS} ON ALL TABLES IN SCHEMA {where} TO {who};"
