-- name: create-job
-- Insert a new job.
INSERT INTO jobs ({columns}) VALUES ({values});

-- name: create-input
-- A job's input.
INSERT INTO job_inputs (job_id, input) VALUES (:job_id, :input);

-- name: drop-large-input
-- Remove a job's input if it is longer than `most`; returns its length.
DELETE FROM job_inputs WHERE job_id = :job_id AND length(input) > :most
RETURNING length(input);

-- name: count-stored
-- Count bytes that a job has stored, or freed.
UPDATE jobs SET stored_bytes = stored_bytes + :stored WHERE id = :job_id;

-- name: count-archived
-- Count bytes of a job's files that were stored.
UPDATE jobs SET archived_bytes = archived_bytes + :archived WHERE id = :job_id;

-- name: create-metadata
-- One member of the metadata, for filtering lists.
INSERT INTO job_metadata (user_id, name, value, job_id) VALUES (:user_id, :name, :value, :job_id);

-- name: lock-job
-- Lock a job until the commit, which inserts that refer to it do not wait for; no row if there is
-- none. It is read by the next statement, which sees what the last holder of the lock committed.
SELECT id FROM jobs WHERE id = :job_id {for_update};

-- name: read-job
-- A job of any user.
SELECT * FROM stored_jobs WHERE id = :job_id;

-- name: read-job-by-provider-id
-- A job by its provider's id.
SELECT * FROM stored_jobs
 WHERE provider_request_id = :provider_request_id AND provider = :provider;

-- name: read-input
-- The input of a job.
SELECT input FROM job_inputs WHERE job_id = :job_id;

-- name: read-input-to-send
-- The input of a job whose submission is under way. To another replica, whose clock is ahead, it may
-- have outlasted its lease: it is sent all the same, as it is never sent again.
SELECT i.input FROM job_inputs i JOIN jobs j ON j.id = i.job_id
 WHERE i.job_id = :job_id AND j.phase IN ('submitting', 'submit_unconfirmed');

-- name: change-job
-- Update only the changed columns of a job. Some are indexed (status, phase, end, the provider's
-- id), and setting them updates the indexes too: 24 µs for all columns, 4 µs for progress alone.
UPDATE jobs SET {changes} WHERE id = :id;

-- name: find-provider-id
-- Whether a job has this provider's id.
SELECT 1 FROM jobs WHERE provider_request_id = :provider_request_id AND provider = :provider;

-- name: set-due
-- Set what a job waits for next. A lease of it ends; its priority stays.
INSERT INTO due (job_id, lane, at, provider, user_id, batch)
VALUES (:job_id, :lane, :at, :provider, :user_id, :batch)
    ON CONFLICT (job_id) DO UPDATE
   SET lane = excluded.lane, at = excluded.at, provider = excluded.provider,
       user_id = excluded.user_id, holder = NULL, held_until = NULL;

-- name: clear-due
-- Remove the due row: the job waits for nothing.
DELETE FROM due WHERE job_id = :job_id;

-- name: set-verdict
-- Set the verdict of a callback.
UPDATE callbacks SET verdict = :verdict, confirmed = :confirmed, evidence = :evidence
 WHERE id = :callback_id;

-- name: note
-- Add a note to a job's history.
INSERT INTO notes (job_id, at, type, detail) VALUES (:job_id, :at, :type, :detail);

-- name: list-page
-- Those of the newest `most` candidates that match the filter, newest first; and the last
-- candidate, if there are `most`. `n` numbers the candidates.
-- Without `unlikely()`, newer releases of SQLite (3.53) read all jobs of the user to find them.
SELECT page.n, page.fits, j.* FROM (
    SELECT id, n, fits FROM (
        SELECT id, row_number() OVER (ORDER BY id DESC) AS n,
               (CAST(:status AS text) IS NULL OR status = :status)
               AND (CAST(:kind AS text) IS NULL OR kind = :kind)
               AND (CAST(:provider AS text) IS NULL OR provider = :provider)
               AND (CAST(:label AS text) IS NULL OR {position}(lower(label), :label) > 0)
               AND NOT EXISTS (
                   SELECT 1 FROM {metadata_members} AS wanted
                    WHERE NOT EXISTS (SELECT 1 FROM job_metadata m
                                       WHERE m.job_id = candidate.id AND m.name = wanted.key
                                         AND m.value = wanted.value)) AS fits
          FROM (SELECT id, status, kind, provider, label FROM {candidates}
                   AND {unlikely}({condition}) AND {key} < :before AND {key} >= :first
                   AND {unlikely}(created_at > :created_after)
                   AND {unlikely}(created_at < :created_before)
                 ORDER BY {key} DESC
                 LIMIT :most) AS candidate) AS numbered
     WHERE fits OR n = :most
     ORDER BY n
     LIMIT :limit) AS page
 CROSS JOIN stored_jobs j
 WHERE j.id = page.id
 ORDER BY page.n;

-- name: list-newer
-- The oldest of a user's jobs at a provider from an id on, this one included, oldest first.
SELECT id FROM jobs
 WHERE user_id = :user_id AND provider = :provider AND id >= :first
   AND created_at > :created_after AND created_at < :created_before
 ORDER BY id
 LIMIT :limit;

-- name: read-whole-result
-- The whole result of a job; its row may have a truncated one.
SELECT coalesce(w.result, j.result)
  FROM jobs j LEFT JOIN job_results w ON w.job_id = j.id
 WHERE j.id = :job_id;

-- name: read-stored-bytes
-- The bytes of a job's input and result.
SELECT stored_bytes FROM jobs WHERE id = :job_id;

-- name: keep-whole-result
-- Store the whole result of a job whose row has a truncated one; a newer one replaces it.
INSERT INTO job_results (job_id, result) VALUES (:job_id, :result)
    ON CONFLICT (job_id) DO UPDATE SET result = excluded.result;

-- name: list-in-phase
-- Unfinished jobs in a phase, the oldest of each provider first. The second condition lets SQLite use
-- the partial index.
SELECT id FROM jobs
 WHERE phase = :phase AND phase <> 'finished'
 ORDER BY provider, created_at
 LIMIT :limit;

-- name: list-overdue
-- The oldest jobs that are queued for a provider and were created before a time.
SELECT id FROM jobs
 WHERE phase = 'queued' AND phase <> 'finished' AND provider = :provider AND created_at <= :created_before
 ORDER BY created_at
 LIMIT :limit;

-- name: make-poll-due
-- Make a job's next poll due now. During a poll, the job is due again when that one ends.
UPDATE due SET at = :now
 WHERE job_id = :job_id AND lane = 'poll' AND at <> :now AND (at > :now OR holder IS NOT NULL);

-- name: list-ended
-- The next finished jobs by end time, and whether nothing of them is pending: no message, claim or
-- call to the provider. A message due since before `overdue_since` does not count. A pending file
-- does not count unless it is being downloaded: it would be removed with its job, and without an
-- archive nobody downloads it. A download's lease that ended before `done_before` does not count:
-- its holder died. PostgreSQL might read whole tables for EXISTS.
SELECT done_at, id,
       (SELECT 1 FROM deliveries d
         WHERE d.job_id = jobs.id AND d.state = 'pending'
           AND (d.next_attempt_at > :overdue_since OR d.held_until > :overdue_since)
         LIMIT 1) IS NULL
       AND (SELECT 1 FROM callbacks c
             WHERE c.job_id = jobs.id AND c.verdict = 'claimed'
             LIMIT 1) IS NULL
       AND (SELECT f.lane <> 'archive' OR f.held_until > :done_before
              FROM due f WHERE f.job_id = jobs.id) IS NOT TRUE
  FROM jobs
 WHERE done_at < :done_before AND done_at IS NOT NULL AND (done_at, id) > (:done_at, :id)
 ORDER BY done_at, id
 LIMIT :limit {skip_locked};

-- name: last-event
-- A job's user, the position of its last event, and the bytes that were counted for it.
SELECT max(user_id), max(seq), (SELECT stored_bytes FROM jobs WHERE id = :job_id),
       (SELECT archived_bytes FROM jobs WHERE id = :job_id)
  FROM events
 WHERE job_id = :job_id;

-- name: remove-job
-- Remove a job and, by cascade, all its dependent rows.
DELETE FROM jobs WHERE id = :job_id;

-- name: read-newest
-- When the newest job was created.
SELECT created_at FROM jobs WHERE id = (SELECT max(id) FROM jobs);

-- name: backlog
-- The number of jobs in each unfinished phase by provider, and when the oldest was created.
SELECT phase, provider, count(*), min(created_at)
  FROM jobs
 WHERE phase <> 'finished'
 GROUP BY phase, provider;

-- name: read-history
-- Everything that happened to a job: its details as JSON, and what is too large for that, the whole
-- event or the beginning of a callback's body.
-- Within one millisecond: its creation, then causes before effects.
SELECT at, type, detail, data
  FROM (
    SELECT a.at, 'relay' AS type,
           CAST({json_object}('delivery', d.id, 'seq', d.seq, 'status_code', a.status_code,
                              'error', a.error, 'duration_ms', a.duration_ms) AS text) AS detail,
           NULL AS data, 4 AS rank, a.n
      FROM deliveries d JOIN attempts a ON a.delivery_id = d.id WHERE d.job_id = :job_id
    UNION ALL
    SELECT received_at, 'callback',
           CAST({json_object}('verdict', verdict, 'evidence', evidence, 'confirmed', confirmed,
                              'verified', verified, 'bytes', length(body)) AS text),
           substr(body, 1, 3072), 1, id
      FROM callbacks WHERE job_id = :job_id
    UNION ALL
    SELECT at, type, detail, NULL, 2, id
      FROM notes WHERE job_id = :job_id
    UNION ALL
    SELECT at, 'event', CAST({json_object}('id', seq || '.' || nonce) AS text), data,
           CASE job_seq WHEN 1 THEN 0 ELSE 3 END, seq
      FROM events WHERE job_id = :job_id
    ) AS lines
 ORDER BY at, rank, n;
