"""Alembic runs this file for each command of `relay.ledger.engine.migrate`, with its connection or to print SQL."""

from alembic import context

from relay.ledger.schema import metadata

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True, transactional_ddl=False)
else:
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
