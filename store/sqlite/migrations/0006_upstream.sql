-- The job at its provider: the URLs in the answer to its submission, and whether the provider still
-- has to be asked to cancel it. Both are kept after the job has ended.
ALTER TABLE jobs ADD COLUMN provider_urls TEXT;
ALTER TABLE jobs ADD COLUMN cancel_wanted INTEGER NOT NULL DEFAULT 0 CHECK (cancel_wanted IN (0, 1));

-- Whether a callback had a valid signature; always false for a provider that does not sign.
ALTER TABLE callbacks ADD COLUMN verified INTEGER NOT NULL DEFAULT 0 CHECK (verified IN (0, 1));

-- The whole results of jobs whose rows have truncated ones.
CREATE TABLE job_results (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    result TEXT NOT NULL
) STRICT;

-- For lists of one provider's jobs.
CREATE INDEX jobs_by_provider ON jobs (user_id, provider, id, created_at);

-- The old view stays: the previous release, which may still be running, reads it.
CREATE VIEW provider_job_rows AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking, j.provider_urls, j.cancel_wanted,
       d.lane, d.at AS due_at, d.holder,
       EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id AND c.verdict = 'waiting')
           AS callbacks_waiting,
       j.label
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;
