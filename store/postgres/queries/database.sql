-- name: begin
-- Begin a transaction. A pooler may share the session, so its settings are for this transaction
-- alone: timeouts in milliseconds, for a statement, a lock and idling, and commits that wait for the
-- disk, and for a synchronous standby's.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL statement_timeout = 10000;
SET LOCAL lock_timeout = 3000;
SET LOCAL idle_in_transaction_session_timeout = 10000;
SELECT CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
            THEN set_config('synchronous_commit', 'on', TRUE) END;

-- name: lock-log
-- Lock a user's log until the commit.
SELECT 1 FROM users WHERE id = :user_id FOR NO KEY UPDATE;

-- name: snapshot
-- Differs from the last one if anybody has written since then.
SELECT CAST(pg_current_snapshot() AS text);

-- name: notify
-- Notify the other processes. In its own transaction, because NOTIFY takes a server-wide lock at
-- commit.
SELECT pg_notify(:channel, :payload);

-- name: size
-- Bytes on disk.
SELECT pg_database_size(current_database());

-- name: durability
-- The settings that decide whether a commit survives a crash of the server, or its loss, and the
-- schema version.
SELECT current_setting('fsync'), current_setting('full_page_writes'),
       current_setting('synchronous_standby_names'), value
  FROM meta
 WHERE key = 'schema';
