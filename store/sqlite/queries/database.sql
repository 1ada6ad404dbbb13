-- name: mark-copy
-- Mark a copy as such.
INSERT INTO meta (key, value) VALUES ('copy', '1') ON CONFLICT DO NOTHING;

-- name: mark-moved
-- Record where the database was moved; it can no longer be served from.
INSERT INTO meta (key, value) VALUES ('moved', :to)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: read-moved-mark
-- Where the database was moved; no row if it was not.
SELECT value FROM meta WHERE key = 'moved';

-- name: read-unsure-mark
-- Whether unsent submissions may have been sent from another database.
SELECT 1 FROM meta WHERE key IN ('copy', 'moved');
