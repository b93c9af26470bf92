-- Items are found by the time of their file first: what is queued together, oldest file first, then lies together in the
-- index, and a batch changes a few of its pages instead of one for each task. What no JSON can be read of has the time 0.

DROP INDEX task_item;
-- One item goes to one backend once: this index is what keeps a second scan from queueing it again.
CREATE UNIQUE INDEX task_item ON task (
    iif(json_valid(CAST(identity AS TEXT)), json_extract(CAST(identity AS TEXT), '$.mtime_ns'), 0), item_id, backend
);
