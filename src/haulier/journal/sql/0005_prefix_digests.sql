-- Whether the digest of an acknowledged range is that of all bytes up to its end. A file that is read in order is then
-- hashed once and not once more for its parts.

ALTER TABLE part ADD COLUMN prefix INTEGER NOT NULL DEFAULT 0;
