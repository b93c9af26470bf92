-- Receipts are found by the name of their media file at once, however many there are. What no JSON can be read of is
-- found by a look at all of them.

CREATE TABLE receipt_name (
    name   TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (name, number)
) WITHOUT ROWID;

INSERT OR IGNORE INTO receipt_name
SELECT json_extract(CAST(body AS TEXT), '$.artifacts[0].name'), number
FROM receipt
WHERE iif(
    json_valid(CAST(body AS TEXT)), json_type(CAST(body AS TEXT), '$.artifacts[0].name') = 'text', 0
);
