-- What is remembered of a job at its provider: the addresses that its submission's answer gave, and
-- whether its cancellation is still to be passed on. Both outlive the job's end.
ALTER TABLE jobs ADD COLUMN provider_urls text;
ALTER TABLE jobs ADD COLUMN cancel_wanted boolean NOT NULL DEFAULT false;

-- Callbacks with a good signature. A provider that does not sign has none.
ALTER TABLE callbacks ADD COLUMN verified boolean NOT NULL DEFAULT false;

-- Results of which the job's row has only the beginning.
CREATE TABLE job_results (
    job_id text COLLATE "C" PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    result text NOT NULL
);

-- For lists of one provider's jobs.
CREATE INDEX jobs_by_provider ON jobs (user_id, provider, id, created_at);

-- The view of before stays: the release before this one, which may still run beside, reads it.
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
