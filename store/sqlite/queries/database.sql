-- name: touch
-- Something small and durable: proves that a callback could be stored now.
INSERT INTO meta (key, value) VALUES ('writable', '1')
    ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1;

-- name: mark-copy
-- Say of a copy that it is one.
INSERT INTO meta (key, value) VALUES ('copy', '1') ON CONFLICT DO NOTHING;

-- name: read-copy-mark
-- Whether this is a copy that nobody has served from yet.
SELECT 1 FROM meta WHERE key = 'copy';

-- name: remove-copy-mark
-- Serve from the copy.
DELETE FROM meta WHERE key = 'copy';
