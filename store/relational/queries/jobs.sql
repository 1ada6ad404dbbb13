-- name: create-job
-- The row of a new job: what it keeps, then what may change, then its trace.
INSERT INTO jobs (
    id, user_id, provider, kind, created_at, metadata, webhook_url, webhook_events, webhook_off,
    status, phase, seq, updated_at, progress, provider_status, evidence, message, result,
    error_code, error_message, error_billed, provider_request_id, id_from_answer, done_at,
    accepted_at, unconfirmed_at, result_at, attempts, maybe_sent, refused_with, tracking,
    trace_context
) VALUES (
    :id, :user_id, :provider, :kind, :created_at, :metadata, :webhook_url, :webhook_events,
    :webhook_off, :status, :phase, :seq, :updated_at, :progress, :provider_status, :evidence,
    :message, :result, :error_code, :error_message, :error_billed, :provider_request_id,
    :id_from_answer, :done_at, :accepted_at, :unconfirmed_at, :result_at, :attempts, :maybe_sent,
    :refused_with, :tracking, :trace_context
);

-- name: create-input
-- What the job was asked for.
INSERT INTO job_inputs (job_id, input) VALUES (:job_id, :input);

-- name: create-metadata
-- One member of the metadata, for the lists that filter by it.
INSERT INTO job_metadata (user_id, name, value, job_id) VALUES (:user_id, :name, :value, :job_id);

-- name: read-job
-- One job, whoever owns it.
SELECT * FROM job_rows WHERE id = :job_id;

-- name: look-jobs-up
-- Several jobs, whoever owns them.
SELECT * FROM job_rows WHERE id IN (VALUES (:key));

-- name: read-job-by-provider-id
-- A user's job by the provider's id. Two providers may give the same: the newest job wins. The plus
-- keeps the index of the user out of it, which would be read through for the sake of the order.
SELECT * FROM job_rows
 WHERE provider_request_id = :provider_request_id AND +user_id = :user_id
 ORDER BY id DESC
 LIMIT 1;

-- name: read-job-of-anybody-by-provider-id
-- The same, whoever's it is.
SELECT * FROM job_rows
 WHERE provider_request_id = :provider_request_id
 ORDER BY id DESC
 LIMIT 1;

-- name: read-provider-id-holder
-- Which job holds a provider's id.
SELECT id FROM jobs
 WHERE provider_request_id = :provider_request_id AND provider = :provider;

-- name: read-input
-- What a job was asked for.
SELECT input FROM job_inputs WHERE job_id = :job_id;

-- name: read-trace-context
-- The trace that a job was submitted in.
SELECT trace_context FROM jobs WHERE id = :job_id;

-- name: change-job
-- What changed of a job, and nothing else: each of status, phase, end and the provider's id stands in
-- indexes, which are written with it (24 µs for all columns, 4 µs for progress alone).
UPDATE jobs SET {changes} WHERE id = :id;

-- name: set-due
-- What a job waits for next. Whoever held it has done what it was held for.
INSERT INTO due (job_id, lane, at) VALUES (:job_id, :lane, :at)
    ON CONFLICT (job_id) DO UPDATE
   SET lane = excluded.lane, at = excluded.at, holder = NULL, held_until = NULL;

-- name: clear-due
-- The job waits for nothing.
DELETE FROM due WHERE job_id = :job_id;

-- name: is-waiting
-- Whether a callback has not been applied yet.
SELECT 1 FROM callbacks WHERE id = :callback_id AND verdict = 'waiting';

-- name: rule
-- What became of a callback.
UPDATE callbacks SET verdict = :verdict, confirmed = :confirmed, evidence = :evidence
 WHERE id = :callback_id AND job_id = :job_id;

-- name: note
-- A line of a job's journal.
INSERT INTO notes (job_id, at, type, detail) VALUES (:job_id, :at, :type, :detail);

-- name: list-by-user
-- A user's jobs, newest first.
SELECT * FROM job_rows
 WHERE user_id = :user_id AND id < :before AND id >= :first
   AND created_at > :created_after AND created_at < :created_before
 ORDER BY id DESC
 LIMIT :limit;

-- name: list-by-status
-- The same with one status, and the kind where one is asked for.
SELECT * FROM job_rows
 WHERE user_id = :user_id AND status = :status AND id < :before AND id >= :first
   AND created_at > :created_after AND created_at < :created_before
   AND (CAST(:kind AS text) IS NULL OR kind = :kind)
 ORDER BY id DESC
 LIMIT :limit;

-- name: list-by-kind
-- The same of one kind.
SELECT * FROM job_rows
 WHERE user_id = :user_id AND kind = :kind AND id < :before AND id >= :first
   AND created_at > :created_after AND created_at < :created_before
 ORDER BY id DESC
 LIMIT :limit;

-- name: list-in-phase
-- Unfinished jobs in a phase, oldest first.
SELECT id FROM jobs
 WHERE phase = :phase AND phase <> 'finished'
 ORDER BY created_at
 LIMIT :limit;

-- name: release-due
-- Give back a job that its holder did nothing with.
UPDATE due SET holder = NULL, held_until = NULL
 WHERE job_id = :job_id AND holder = :holder
RETURNING lane;

-- name: end-holds
-- End the holds of a process that is gone.
UPDATE due SET holder = NULL, held_until = NULL WHERE holder IS NOT NULL;

-- name: next-due
-- When a lane has something to give out next: what nobody holds is due, or a hold ends.
SELECT min(at) FROM (
    SELECT * FROM (SELECT at FROM due
                    WHERE lane = :lane AND holder IS NULL
                    ORDER BY at LIMIT 1) AS free
    UNION ALL
    SELECT * FROM (SELECT held_until FROM due
                    WHERE lane = :lane AND holder IS NOT NULL
                    ORDER BY held_until LIMIT 1) AS held) AS next;

-- name: poll-at-once
-- Bring a job's next poll forward.
UPDATE due SET at = :now WHERE job_id = :job_id AND lane = 'poll' AND at > :now;

-- name: hold-submissions
-- Hold a provider's submissions; the longer hold stays.
INSERT INTO submission_holds (provider, until) VALUES (:provider, :until)
    ON CONFLICT (provider) DO UPDATE SET until = excluded.until
       WHERE excluded.until > submission_holds.until;

-- name: read-submission-hold
-- Until when a provider's submissions are held.
SELECT until FROM submission_holds WHERE provider = :provider;

-- name: list-removed-places
-- The places in their users' logs that go with a job.
SELECT user_id, seq, nonce FROM events WHERE job_id = :job_id;

-- name: remove-job
-- A job, and by cascade everything that hangs on it.
DELETE FROM jobs WHERE id = :job_id;

-- name: census
-- How many jobs are in each unfinished phase, and when the oldest of them was created.
SELECT phase, count(*), min(created_at) FROM jobs WHERE phase <> 'finished' GROUP BY phase;

-- name: read-history
-- Everything that happened to a job. Within one millisecond: its creation, then causes before
-- effects.
SELECT at, source, data, a, b, c, d, e FROM (
    SELECT at, 'event' AS source, data, seq || '.' || nonce AS a, NULL AS b,
           CAST(NULL AS integer) AS c, CAST(NULL AS integer) AS d, CAST(NULL AS integer) AS e,
           CASE job_seq WHEN 1 THEN 0 ELSE 3 END AS rank, seq AS n
      FROM events WHERE job_id = :job_id
    UNION ALL
    SELECT received_at, 'callback', NULL, verdict, evidence, CAST(confirmed AS integer),
           length(body), NULL, 1, id
      FROM callbacks WHERE job_id = :job_id
    UNION ALL
    SELECT at, 'note', NULL, type, detail, NULL, NULL, NULL, 2, id
      FROM notes WHERE job_id = :job_id
    UNION ALL
    SELECT a.at, 'relay', NULL, d.id, a.error, d.seq, a.status_code, a.duration_ms, 4, a.n
      FROM deliveries d JOIN attempts a ON a.delivery_id = d.id WHERE d.job_id = :job_id
    ) AS lines
 ORDER BY at, rank, n;
