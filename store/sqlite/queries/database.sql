-- name: read-moved-mark
-- Where the database was moved; no row if it was not.
SELECT value FROM meta WHERE key = 'moved';
