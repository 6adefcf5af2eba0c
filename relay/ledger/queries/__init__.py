"""What the ledger is asked: one file per question, plain functions of a connection."""
