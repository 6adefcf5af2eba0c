"""Runs the ledger: commits, drivers, migrations, encryption. Read `commit` first, then `sqlite` or `postgres`."""
