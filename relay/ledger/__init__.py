"""The SQL adapter of the ledger: one implementation in SQLAlchemy Core for SQLite and PostgreSQL.

Every operation is a plain function of a connection, the time and a batch (`inbox`, `work`, `record`, `outbox`).
`commit` groups operations into transactions; `sqlite` and `postgres` run the transactions.
"""

from relay.ledger.engine.faults import Unopened, Unusable
from relay.ledger.engine.vault import Vault
from relay.ledger.ledger import SqlLedger
from relay.ledger.opening import (
    inspect_ledger,
    is_file,
    migrate_ledger,
    open_ledger,
    pending_steps,
    rekey_ledger,
    script_ledger,
)
from relay.ledger.queries.rekey import Rekeyed
from relay.ledger.terms import Terms

__all__ = [
    "Rekeyed",
    "SqlLedger",
    "Terms",
    "Unopened",
    "Unusable",
    "Vault",
    "inspect_ledger",
    "is_file",
    "migrate_ledger",
    "open_ledger",
    "pending_steps",
    "rekey_ledger",
    "script_ledger",
]
