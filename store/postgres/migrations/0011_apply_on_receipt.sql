-- A callback is applied in the transaction that stores it, so no job waits for its callbacks. What the
-- previous release has left unapplied (the verdict is still allowed) is applied when the service starts.
-- The view archived_job_rows stays: the previous release, which may still be running, reads it.
-- All the locks first: a migration that holds one table and waits for the next one deadlocks with the
-- writes of the previous release, again and again while it is busy.
LOCK TABLE jobs, due, deliveries, callbacks, users IN ACCESS EXCLUSIVE MODE;
DROP INDEX callbacks_waiting_by_job;
DROP VIEW job_rows;
DROP VIEW provider_job_rows;
CREATE VIEW stored_jobs AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking, j.provider_urls, j.cancel_wanted, j.archive,
       d.lane, d.at AS due_at, d.holder, j.label
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;
