"""Run by alembic for each command; the connection is handed in by `relay.ledger.migrate`."""

from alembic import context

from relay.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
