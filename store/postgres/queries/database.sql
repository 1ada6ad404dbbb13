-- name: configure-transaction
-- Settings for one transaction, since a pooler may share the session: timeouts for statements,
-- locks and idling (in milliseconds), commits on disk, and a transaction id with which the outcome
-- of the commit can be looked up.
SELECT set_config('statement_timeout', CAST(:statement AS text), TRUE),
       set_config('lock_timeout', CAST(:lock AS text), TRUE),
       set_config('idle_in_transaction_session_timeout', CAST(:pause AS text), TRUE),
       CASE current_setting('synchronous_commit')
            WHEN 'off' THEN set_config('synchronous_commit', 'on', TRUE) END,
       CAST(pg_current_xact_id() AS text);

-- name: read-commit-outcome
-- A transaction's status: committed, aborted or in progress; NULL if it is too long ago.
SELECT pg_xact_status(CAST(CAST(:transaction AS text) AS xid8));

-- name: snapshot
-- Which transactions have ended by now.
SELECT CAST(pg_current_snapshot() AS text);

-- name: notify
-- Notify the other processes. In its own transaction, because NOTIFY takes a server-wide lock at
-- commit.
SELECT pg_notify(:channel, :payload), CAST(pg_current_xact_id() AS text);

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
