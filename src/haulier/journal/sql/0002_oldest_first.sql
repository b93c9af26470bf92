-- A recorder's rotation deletes the oldest recordings first: those are claimed first. A time that lies ahead counts as
-- that of submission, else its task would wait behind everything that comes.

DROP INDEX task_queued;
CREATE INDEX task_queued
    ON task (backend, suspicion, min(json_extract(identity, '$.mtime_ns') / 1e9, created_at), sequence)
    WHERE state = 'queued';
