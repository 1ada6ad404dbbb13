-- name: touch
-- A durable write that takes as much room as a new job: proves that a callback can be stored now.
-- The file does not grow, since the row keeps its length. Its content alternates, because SQLite
-- does not write unchanged pages.
INSERT INTO meta (key, value) VALUES ('check', :one)
    ON CONFLICT (key) DO UPDATE SET value = CASE meta.value WHEN :one THEN :other ELSE :one END;

-- name: end-job-leases
-- End all leases of jobs: the process that took them is gone.
UPDATE due SET holder = NULL, held_until = NULL WHERE holder IS NOT NULL;

-- name: end-delivery-leases
-- End all leases of deliveries likewise. The next call that leases handles them like expired ones,
-- and skips messages that were overtaken meanwhile.
UPDATE deliveries SET held_until = 0 WHERE holder IS NOT NULL AND held_until <> 0;

-- name: release-keys
-- Mark all idempotency keys as not in use: the process that used them is gone.
UPDATE idempotency_keys SET held_until = NULL WHERE held_until IS NOT NULL;

-- name: read-copy-mark
-- Whether this is a copy that no service has run on yet.
SELECT 1 FROM meta WHERE key = 'copy';

-- name: remove-copy-mark
-- Remove the copy mark: a service runs on the copy now.
DELETE FROM meta WHERE key = 'copy';

-- name: mark-copy
-- Mark a copy as one, until a service runs on it.
INSERT INTO meta (key, value) VALUES ('copy', '1') ON CONFLICT DO NOTHING;

-- name: mark-moved
-- Record where a SQLite database was moved; no service can run on it any more.
INSERT INTO meta (key, value) VALUES ('moved', :to)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: read-unsure-mark
-- Whether unsent submissions may have been sent from another database.
SELECT 1 FROM meta WHERE key IN ('copy', 'moved');
