"""What survives: the event log and the ledger, in one SQLite file."""
