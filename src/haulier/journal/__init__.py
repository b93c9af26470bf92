"""The durable record: its contract in :mod:`haulier.journal.api`, SQLite and in-memory implementations beside it."""
