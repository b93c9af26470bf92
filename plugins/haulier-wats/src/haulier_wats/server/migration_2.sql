-- What recordings are searched by, without regard to case: users and hosts of connection_info.
CREATE TABLE labels (
    kind TEXT NOT NULL CHECK (kind IN ('user', 'host')),
    value TEXT NOT NULL,
    file_id TEXT NOT NULL REFERENCES recordings (file_id) ON DELETE CASCADE,
    PRIMARY KEY (kind, value, file_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_by_recording ON labels (file_id);
