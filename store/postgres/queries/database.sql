-- name: begin
-- What holds for one transaction, since a session may be shared with others by a pooler: no
-- statement, no lock and no pause of ours lasts for ever, a commit is on disk, and the transaction
-- has a number by which its fate can be looked up.
SELECT set_config('statement_timeout', :statement_timeout, TRUE),
       set_config('lock_timeout', :lock_timeout, TRUE),
       set_config('idle_in_transaction_session_timeout', :pause_timeout, TRUE),
       CASE current_setting('synchronous_commit')
            WHEN 'off' THEN set_config('synchronous_commit', 'on', TRUE) END,
       CAST(pg_current_xact_id() AS text);

-- name: read-fate
-- What became of a transaction: committed, aborted, in progress; NULL where it is long gone.
SELECT pg_xact_status(CAST(CAST(:transaction AS text) AS xid8));

-- name: snapshot
-- Which transactions have ended, as everybody sees it now.
SELECT CAST(pg_current_snapshot() AS text);

-- name: ring
-- Tell the other processes. A transaction of its own: at its commit a NOTIFY takes a lock that the
-- whole database server shares.
SELECT pg_notify(:channel, :payload), CAST(pg_current_xact_id() AS text);

-- name: size
-- Bytes on disk.
SELECT pg_database_size(current_database());

-- name: durability
-- What decides whether a commit survives a crash of the server's machine, and the schema.
SELECT current_setting('fsync'), current_setting('full_page_writes'), value
  FROM meta
 WHERE key = 'schema';
