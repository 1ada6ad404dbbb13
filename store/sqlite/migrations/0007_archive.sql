-- The result files of a job, as JSON: each link and the state of its file. Pending files wait in
-- `due`, in a lane of their own.
ALTER TABLE jobs ADD COLUMN archive TEXT;

CREATE TABLE due_before AS SELECT * FROM due;
DROP TABLE due;
CREATE TABLE due (
    job_id     TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    lane       TEXT NOT NULL
        CHECK (lane IN ('submit', 'submitting', 'wait', 'confirm', 'poll', 'archive')),
    at         INTEGER NOT NULL,
    holder     TEXT,
    held_until INTEGER,
    provider   TEXT NOT NULL DEFAULT '',
    user_id    INTEGER NOT NULL DEFAULT 0,
    CHECK ((holder IS NULL) = (held_until IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO due (job_id, lane, at, holder, held_until, provider, user_id)
SELECT job_id, lane, at, holder, held_until, provider, user_id FROM due_before;
DROP TABLE due_before;
CREATE INDEX due_by_lane ON due (lane, at);
CREATE INDEX due_held ON due (lane, held_until) WHERE holder IS NOT NULL;
CREATE INDEX due_submissions ON due (provider, user_id, at)
    WHERE lane = 'submit' AND holder IS NULL;

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
    job_id    TEXT PRIMARY KEY,
    user_name TEXT NOT NULL
) STRICT, WITHOUT ROWID;
