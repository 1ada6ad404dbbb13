-- The result files of a job, as JSON: each link and the state of its file. Pending files wait in
-- `due`, in a lane of their own.
ALTER TABLE jobs ADD COLUMN archive text;

ALTER TABLE due DROP CONSTRAINT due_lane_check;
ALTER TABLE due ADD CONSTRAINT due_lane_check
    CHECK (lane IN ('submit', 'submitting', 'wait', 'confirm', 'poll', 'archive'));

-- The old views stay: the previous release, which may still be running, reads them.
CREATE VIEW archived_job_rows AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking, j.provider_urls, j.cancel_wanted, j.archive,
       d.lane, d.at AS due_at, d.holder,
       EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id AND c.verdict = 'waiting')
           AS callbacks_waiting,
       j.label
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;

-- Removed jobs with archived files; a row is deleted when its files are.
CREATE TABLE archive_removals (
    job_id    text COLLATE "C" PRIMARY KEY,
    user_name text NOT NULL
);
