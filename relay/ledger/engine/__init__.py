"""How the ledger runs: commits, drivers, migrations, encryption. Open `commit` first, then `sqlite` or `postgres`."""
