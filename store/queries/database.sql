-- name: touch
-- A durable write that takes as much room as a new job: proves that a callback could be stored now.
-- The file does not grow, since the row keeps its length. Its content alternates, since SQLite would
-- not write a page that stays the same.
INSERT INTO meta (key, value) VALUES ('check', :one)
    ON CONFLICT (key) DO UPDATE SET value = CASE meta.value WHEN :one THEN :other ELSE :one END;

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
