-- name: lock-lane
-- One process at a time leases messages, so that no two choose the same job's.
SELECT pg_advisory_xact_lock(hashtext('receiver lane deliver'));
