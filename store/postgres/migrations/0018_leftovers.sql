-- Removes what only 1.x used: replicas of 2.x, which may still be running, use none of it. A callback
-- that 1.x left unapplied stays in the history.
-- All the locks first: a migration that holds one table and waits for the next one deadlocks with the
-- writes of the other replicas, again and again while they are busy.
LOCK TABLE jobs, deliveries, callbacks IN ACCESS EXCLUSIVE MODE;
UPDATE callbacks SET verdict = 'failed' WHERE verdict = 'waiting';
DROP INDEX callbacks_waiting;
ALTER TABLE callbacks
    DROP COLUMN tries,
    DROP CONSTRAINT callbacks_verdict_check,
    ADD CONSTRAINT callbacks_verdict_check
        CHECK (verdict IN ('applied', 'claimed', 'confirmed', 'denied', 'late', 'conflict',
                           'rejected', 'failed'));
ALTER TABLE jobs DROP COLUMN trace_context;
DROP INDEX deliveries_due;
DROP VIEW archived_job_rows;
DROP TABLE removed_events;
DROP TABLE submission_holds;
