-- Upload sessions. Times are seconds since the epoch; connection_info and details are JSON texts.
CREATE TABLE sessions (
    sid TEXT PRIMARY KEY,
    recording_session TEXT NOT NULL,
    item_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('open', 'completed', 'expired', 'cancelled')),
    connection_info TEXT NOT NULL,
    details TEXT NOT NULL,
    resumable INTEGER NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    ended_at REAL,
    idempotency_key TEXT UNIQUE,
    fingerprint TEXT NOT NULL,
    file_id TEXT
) STRICT;
CREATE INDEX sessions_by_expiry ON sessions (expires_at) WHERE status = 'open';
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_by_file ON sessions (file_id) WHERE file_id IS NOT NULL;

-- The files of a session. size is what was declared, held what was acknowledged, in bytes.
-- copy names the file below .incoming/SID that the acknowledged bytes are in.
CREATE TABLE files (
    sid TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('video', 'metadata')),
    file_id TEXT NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size INTEGER,
    copy TEXT NOT NULL,
    held INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'complete', 'cancelled')),
    PRIMARY KEY (sid, kind)
) STRICT, WITHOUT ROWID;

-- Recordings. 'storing' and 'deleting' are intents that the next start carries out. folder is relative to the data
-- folder and written with slashes.
CREATE TABLE recordings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    file_id TEXT NOT NULL UNIQUE,
    sid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('storing', 'stored', 'deleting')),
    recording_session TEXT NOT NULL,
    item_id TEXT,
    connection_info TEXT NOT NULL,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    stored_name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    metadata_name TEXT,
    metadata_stored_name TEXT,
    metadata_size INTEGER,
    metadata_sha256 TEXT,
    created_at REAL NOT NULL
) STRICT;
CREATE UNIQUE INDEX recordings_by_item ON recordings (item_id) WHERE item_id IS NOT NULL AND state <> 'deleting';
CREATE INDEX recordings_by_time ON recordings (created_at, number) WHERE state = 'stored';
CREATE INDEX recordings_by_digest ON recordings (sha256);
CREATE INDEX recordings_by_session ON recordings (recording_session);
CREATE INDEX recordings_unsettled ON recordings (state) WHERE state <> 'stored';

-- What recordings are searched by, without regard to case: users and hosts of connection_info.
CREATE TABLE labels (
    kind TEXT NOT NULL CHECK (kind IN ('user', 'host')),
    value TEXT NOT NULL,
    file_id TEXT NOT NULL REFERENCES recordings (file_id) ON DELETE CASCADE,
    PRIMARY KEY (kind, value, file_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_by_recording ON labels (file_id);
