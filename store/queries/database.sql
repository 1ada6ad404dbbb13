-- name: touch
-- A small durable write: proves that a callback could be stored now.
INSERT INTO meta (key, value) VALUES ('writable', '1')
    ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS bigint) + 1 AS text);

-- name: read-copy-mark
-- Whether this is a copy that has not been served from yet.
SELECT 1 FROM meta WHERE key = 'copy';

-- name: remove-copy-mark
-- Mark the copy as served from.
DELETE FROM meta WHERE key = 'copy';

-- name: mark-copy
-- Mark a copy as one, until it is served from.
INSERT INTO meta (key, value) VALUES ('copy', '1') ON CONFLICT DO NOTHING;

-- name: mark-moved
-- Record where a SQLite database was moved; it can no longer be served from.
INSERT INTO meta (key, value) VALUES ('moved', :to)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: read-unsure-mark
-- Whether unsent submissions may have been sent from another database.
SELECT 1 FROM meta WHERE key IN ('copy', 'moved');
