"""The tables as the first migration makes them. Later migrations change the database, never these modules."""
