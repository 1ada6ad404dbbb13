-- name: create-job
-- The row of a new job: what it keeps, then what may change, in the order of rows.py.
INSERT INTO jobs (
    id, user_id, provider, kind, created_at, metadata, webhook_url, webhook_events, webhook_off,
    status, phase, seq, updated_at, progress, provider_status, evidence, message, result,
    error_code, error_message, error_billed, provider_request_id, id_from_answer, done_at,
    accepted_at, unconfirmed_at, result_at, attempts, maybe_sent, refused_with, tracking
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?,
          ?, ?, ?, ?, ?, ?, ?, ?, ?,
          ?, ?, ?, ?, ?, ?,
          ?, ?, ?, ?, ?, ?, ?);

-- name: create-input
-- What the job was asked for.
INSERT INTO job_inputs (job_id, input) VALUES (?, ?);

-- name: create-metadata
-- One member of the metadata, for the lists that filter by it.
INSERT INTO job_metadata (user_id, name, value, job_id) VALUES (?, ?, ?, ?);

-- name: read-job
-- One job, whoever owns it.
SELECT * FROM job_rows WHERE id = :job_id;

-- name: read-job-of-user
-- One job of one user.
SELECT * FROM job_rows WHERE id = :job_id AND user_id = :user_id;

-- name: read-job-by-provider-id
-- A user's job by the provider's id. Two providers may give the same: the newest job wins. The plus
-- keeps the index of the user out of it, which would be read through for the sake of the order.
SELECT * FROM job_rows
 WHERE provider_request_id = :provider_request_id AND +user_id = :user_id
 ORDER BY id DESC
 LIMIT 1;

-- name: read-provider-id-holder
-- Which job holds a provider's id.
SELECT id FROM jobs
 WHERE provider_request_id = :provider_request_id AND provider = :provider;

-- name: read-input
-- What a job was asked for.
SELECT input FROM job_inputs WHERE job_id = :job_id;

-- name: change-job
-- What changed of a job, and nothing else: each of status, phase, end and the provider's id stands in
-- indexes, which are written with it (24 µs for all columns, 4 µs for progress alone).
UPDATE jobs SET {changes} WHERE id = ?;

-- name: set-due
-- What a job waits for next. Whoever held it has done what it was held for.
INSERT INTO due (job_id, lane, at) VALUES (?, ?, ?)
    ON CONFLICT (job_id) DO UPDATE
   SET lane = excluded.lane, at = excluded.at, holder = NULL, held_until = NULL;

-- name: clear-due
-- The job waits for nothing.
DELETE FROM due WHERE job_id = ?;

-- name: is-waiting
-- Whether a callback has not been applied yet.
SELECT 1 FROM callbacks WHERE id = ? AND verdict = 'waiting';

-- name: rule
-- What became of a callback.
UPDATE callbacks SET verdict = ?, confirmed = ?, evidence = ? WHERE id = ? AND job_id = ?;

-- name: note
-- A line of a job's journal.
INSERT INTO notes (job_id, at, type, detail) VALUES (?, ?, ?, ?);

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
   AND (:kind IS NULL OR kind = :kind)
 ORDER BY id DESC
 LIMIT :limit;

-- name: list-by-kind
-- The same of one kind.
SELECT * FROM job_rows
 WHERE user_id = :user_id AND kind = :kind AND id < :before AND id >= :first
   AND created_at > :created_after AND created_at < :created_before
 ORDER BY id DESC
 LIMIT :limit;

-- name: list-by-metadata
-- The same with some metadata. One member finds the candidates, all of them are compared: the
-- CROSS JOIN keeps the order of the tables, and so the order of the ids.
SELECT j.* FROM job_metadata m CROSS JOIN job_rows j ON j.id = m.job_id
 WHERE m.user_id = :user_id AND m.name = :name AND m.value = :value
   AND m.job_id < :before AND m.job_id >= :first
   AND j.created_at > :created_after AND j.created_at < :created_before
   AND (:status IS NULL OR j.status = :status)
   AND (:kind IS NULL OR j.kind = :kind)
   AND NOT EXISTS (
       SELECT 1 FROM json_each(:metadata) AS wanted
        WHERE NOT EXISTS (SELECT 1 FROM job_metadata other
                           WHERE other.user_id = :user_id AND other.name = wanted.key
                             AND other.value = wanted.value AND other.job_id = m.job_id))
 ORDER BY m.job_id DESC
 LIMIT :limit;

-- name: list-in-phase
-- Unfinished jobs in a phase, oldest first.
SELECT id FROM jobs
 WHERE phase = :phase AND phase <> 'finished'
 ORDER BY created_at
 LIMIT :limit;

-- name: lease-due
-- Hold what is due in a lane and held by nobody, earliest first.
UPDATE due SET holder = :holder, held_until = :until
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = :lane AND at <= :now
                     AND (holder IS NULL OR held_until <= :now)
                   ORDER BY at
                   LIMIT :limit)
RETURNING job_id, at;

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
                    ORDER BY at LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT held_until FROM due
                    WHERE lane = :lane AND holder IS NOT NULL
                    ORDER BY held_until LIMIT 1));

-- name: poll-at-once
-- Bring a job's next poll forward.
UPDATE due SET at = :now WHERE job_id = :job_id AND lane = 'poll' AND at > :now;

-- name: hold-submissions
-- Hold a provider's submissions; the longer hold stays.
INSERT INTO submission_holds (provider, until) VALUES (:provider, :until)
    ON CONFLICT (provider) DO UPDATE SET until = max(until, excluded.until);

-- name: read-submission-hold
-- Until when a provider's submissions are held.
SELECT until FROM submission_holds WHERE provider = :provider;

-- name: list-removable
-- Jobs that ended long ago and that nothing is pending about.
SELECT j.id FROM jobs j
 WHERE j.done_at < :done_before AND j.done_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.job_id = j.id AND d.state = 'pending')
   AND NOT EXISTS (SELECT 1 FROM callbacks c
                    WHERE c.job_id = j.id AND c.verdict IN ('waiting', 'claimed'))
 ORDER BY j.done_at
 LIMIT :limit;

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
SELECT at, source, a, b, c, d, e FROM (
    SELECT at, 'event' AS source, seq || '.' || nonce AS a, data AS b, NULL AS c, NULL AS d,
           NULL AS e, CASE job_seq WHEN 1 THEN 0 ELSE 3 END AS rank, seq AS n
      FROM events WHERE job_id = :job_id
    UNION ALL
    SELECT received_at, 'callback', verdict, evidence, confirmed, length(body), NULL, 1, id
      FROM callbacks WHERE job_id = :job_id
    UNION ALL
    SELECT at, 'note', type, detail, NULL, NULL, NULL, 2, id
      FROM notes WHERE job_id = :job_id
    UNION ALL
    SELECT a.at, 'relay', d.id, d.seq, a.status_code, a.error, a.duration_ms, 4, a.n
      FROM deliveries d JOIN attempts a ON a.delivery_id = d.id WHERE d.job_id = :job_id)
 ORDER BY at, rank, n;
