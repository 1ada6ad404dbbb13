-- name: lock-lane
-- Nothing to do: SQLite has one writer.
SELECT 1;
