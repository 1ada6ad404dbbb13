-- name: configure-transaction
-- Settings for one transaction, since a pooler may share the session: timeouts for statements,
-- locks and idling (in milliseconds), and commits that wait for the disk. Returns the transaction's
-- number, also written into its writer's row, so that a lost commit can be looked up. The row is
-- written last, within the timeout for locks: an earlier transaction of this writer, whose
-- connection was lost, may still hold it.
WITH mine AS (
    INSERT INTO meta (key, value)
    VALUES ('writer ' || CAST(:writer AS text), CAST(pg_current_xact_id() AS text))
        ON CONFLICT (key) DO UPDATE SET value = excluded.value)
SELECT set_config('statement_timeout', CAST(:statement AS text), TRUE),
       set_config('lock_timeout', CAST(:lock AS text), TRUE),
       set_config('idle_in_transaction_session_timeout', CAST(:pause AS text), TRUE),
       CASE current_setting('synchronous_commit')
            WHEN 'off' THEN set_config('synchronous_commit', 'on', TRUE) END,
       CAST(pg_current_xact_id() AS text);

-- name: read-transaction-status
-- The status of the transaction with a number: committed, aborted or in progress; NULL if it is too
-- long ago. An error if the number has not been given out yet. A standby, which a pooler may ask, does
-- not know.
SELECT CASE WHEN pg_is_in_recovery() THEN 'in progress'
            ELSE pg_xact_status(CAST(CAST(:transaction AS text) AS xid8)) END;

-- name: read-writer
-- The number of a writer's last committed transaction, NULL if it has no row; and a number above
-- those of all transactions that have ended. No row on a standby, which may not have replayed all.
SELECT (SELECT value FROM meta WHERE key = 'writer ' || CAST(:writer AS text)),
       CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text)
 WHERE NOT pg_is_in_recovery();

-- name: remove-old-writers
-- Remove the rows of writers that wrote nothing in the last `kept` transactions: most of their
-- processes have ended. One that still runs inserts its row again. A row that is being written is
-- skipped: its writer is alive.
WITH old AS MATERIALIZED (
    SELECT key FROM meta
     WHERE CASE WHEN starts_with(key, 'writer ')
                THEN CAST(value AS bigint) + :kept
                     < CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) END
       FOR UPDATE SKIP LOCKED)
DELETE FROM meta WHERE key IN (SELECT key FROM old);

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
