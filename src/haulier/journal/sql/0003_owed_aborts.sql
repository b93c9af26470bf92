-- Upload sessions that nobody goes on with and that their destination is still to drop. A row holds all that takes: its
-- task may be about another content by then, or be gone. The token's secret part is sealed as a task's is.

CREATE TABLE owed_abort (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    backend      TEXT NOT NULL,
    task         TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    nonce        TEXT NOT NULL,
    upload       TEXT NOT NULL,
    token        TEXT NOT NULL,
    token_secret BLOB NOT NULL,
    owed_at      REAL NOT NULL,
    not_before   REAL NOT NULL,
    tries        INTEGER NOT NULL,
    owner        TEXT NOT NULL,
    error        TEXT
);

CREATE INDEX owed_abort_due ON owed_abort (backend, not_before, sequence);
