"""SQL adapter of the ledger: SQLAlchemy Core, one code for SQLite and PostgreSQL."""
