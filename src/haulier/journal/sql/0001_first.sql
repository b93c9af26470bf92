-- The first schema. Times are wall seconds since the epoch, sizes bytes.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE task (
    sequence      INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL,
    backend       TEXT NOT NULL,
    item_id       TEXT NOT NULL,
    identity      TEXT NOT NULL,
    group_id      TEXT NOT NULL,
    metadata      TEXT NOT NULL,
    created_at    REAL NOT NULL,
    updated_at    REAL NOT NULL,
    nonce         TEXT NOT NULL,
    token         TEXT,
    token_secret  BLOB NOT NULL,
    abilities     TEXT,
    part_size     INTEGER NOT NULL,
    committing    INTEGER NOT NULL,
    digests       TEXT NOT NULL,
    attempts      INTEGER NOT NULL,
    suspicion     INTEGER NOT NULL,
    restarts      INTEGER NOT NULL,
    not_before    REAL,
    slow_lane     INTEGER NOT NULL,
    acknowledged  INTEGER NOT NULL,
    high_water    INTEGER NOT NULL,
    error         TEXT,
    disposal      TEXT NOT NULL,
    disposal_path TEXT NOT NULL,
    delete_source INTEGER NOT NULL,
    request       TEXT NOT NULL,
    owner         TEXT NOT NULL,
    epoch         INTEGER NOT NULL
);

-- One item goes to one backend once: this index is what keeps a second scan from queueing it again.
CREATE UNIQUE INDEX task_item ON task (item_id, backend);
-- What may be claimed, in the order of claiming.
CREATE INDEX task_retrying ON task (backend, suspicion, coalesce(not_before, 0), sequence) WHERE state = 'retrying';
CREATE INDEX task_queued ON task (backend, suspicion, sequence) WHERE state = 'queued';
CREATE INDEX task_slow ON task (backend, suspicion, coalesce(not_before, 0), sequence)
    WHERE state = 'failed' AND slow_lane;
CREATE INDEX task_waiting ON task (backend, state, not_before) WHERE not_before IS NOT NULL;
CREATE INDEX task_state ON task (state, sequence);
CREATE INDEX task_disposal ON task (disposal, sequence) WHERE disposal = 'pending';
CREATE INDEX task_group ON task (group_id, sequence);

CREATE TABLE artifact (
    task         TEXT NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    role         TEXT NOT NULL,
    name         TEXT NOT NULL,
    path         TEXT NOT NULL,
    size         INTEGER NOT NULL,
    mtime_ns     INTEGER NOT NULL,
    file_id      TEXT NOT NULL,
    key          TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content      BLOB,
    PRIMARY KEY (task, number)
) WITHOUT ROWID;

CREATE INDEX artifact_sidecar ON artifact (path) WHERE role = 'sidecar';

CREATE TABLE part (
    task     TEXT NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    artifact INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    start    INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    sha256   TEXT NOT NULL,
    etag     TEXT NOT NULL,
    PRIMARY KEY (task, artifact, start)
) WITHOUT ROWID;

CREATE TABLE attempt (
    task       TEXT NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    epoch      INTEGER NOT NULL,
    owner      TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at   REAL,
    outcome    TEXT,
    error      TEXT,
    PRIMARY KEY (task, epoch)
) WITHOUT ROWID;

CREATE TABLE event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    body     TEXT NOT NULL
);

-- Receipts refer to no other table: they outlive the task's row.
CREATE TABLE receipt (
    number  INTEGER PRIMARY KEY,
    task    TEXT NOT NULL UNIQUE,
    item_id TEXT NOT NULL,
    backend TEXT NOT NULL,
    body    TEXT NOT NULL
);
CREATE INDEX receipt_item ON receipt (item_id, backend);

CREATE TABLE backend (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE owner (
    id         TEXT PRIMARY KEY,
    lock_path  TEXT NOT NULL,
    started_at REAL NOT NULL
) WITHOUT ROWID;

-- Counted as rows change, so that a status costs the same for any number of tasks.
CREATE TABLE counter (
    state TEXT PRIMARY KEY,
    tasks INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER task_counted AFTER INSERT ON task BEGIN
    INSERT INTO counter VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET tasks = tasks + 1;
END;

CREATE TRIGGER task_recounted AFTER UPDATE OF state ON task WHEN old.state <> new.state BEGIN
    UPDATE counter SET tasks = tasks - 1 WHERE state = old.state;
    INSERT INTO counter VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET tasks = tasks + 1;
END;

CREATE TRIGGER task_uncounted AFTER DELETE ON task BEGIN
    UPDATE counter SET tasks = tasks - 1 WHERE state = old.state;
END;
