-- name: lock-lane
-- One process at a time looks at a lane, so that no two choose the same, or count past a limit.
SELECT pg_advisory_xact_lock(hashtext('receiver lane ' || CAST(:lane AS text)));
