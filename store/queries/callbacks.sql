-- name: receive
-- Insert a good callback: its job exists, its id does not conflict, it is not a duplicate, and the
-- job is below its limit. If it was not inserted, `classify` finds out why.
INSERT INTO callbacks (job_id, provider, received_at, digest, verdict, verified, headers, body)
SELECT j.id, j.provider, :at, :digest, 'waiting', CAST(:verified AS boolean), :headers, :body
  FROM jobs j
 WHERE j.id = :job_id AND j.provider = :provider
   AND (CAST(:provider_request_id AS text) IS NULL
        OR j.provider_request_id = :provider_request_id
        OR (j.provider_request_id IS NULL
            AND NOT EXISTS (SELECT 1 FROM jobs other
                             WHERE other.provider_request_id = :provider_request_id
                               AND other.provider = :provider)))
   AND NOT EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id LIMIT 1 OFFSET :room - 1)
    ON CONFLICT (job_id, digest) DO NOTHING;

-- name: list-waiting
-- A job's unapplied callbacks, oldest first, with the sizes of their bodies.
SELECT id, length(body) FROM callbacks WHERE verdict = 'waiting' AND job_id = :job_id ORDER BY id;

-- name: read
-- A callback.
SELECT id, job_id, provider, received_at, tries, verified, body FROM callbacks WHERE id = :id;

-- name: classify
-- Why a callback was not inserted: whether its id conflicts, the verdict of an earlier callback
-- with the same bytes, and how many the job has, up to `room`. No row: there is no such job.
SELECT CAST(:provider_request_id AS text) IS NOT NULL
       AND (j.provider_request_id <> :provider_request_id
            OR (j.provider_request_id IS NULL
                AND EXISTS (SELECT 1 FROM jobs other
                             WHERE other.provider_request_id = :provider_request_id
                               AND other.provider = :provider))),
       (SELECT verdict FROM callbacks c WHERE c.job_id = j.id AND c.digest = :digest),
       (SELECT count(*) FROM (SELECT 1 FROM callbacks c WHERE c.job_id = j.id LIMIT :room) AS stored)
  FROM jobs j
 WHERE j.id = :job_id AND j.provider = :provider;

-- name: insert-with-verdict
-- Record a callback that `receive` has not inserted, with its verdict.
INSERT INTO callbacks (job_id, provider, received_at, digest, verdict, evidence, verified, headers,
                       body)
VALUES (:job_id, :provider, :at, :digest, :verdict, 'callback', :verified, :headers, :body);

-- name: verify
-- Mark a stored callback as verified, since it came again with a valid signature. If it was
-- claimed, denied or late, it is applied again.
UPDATE callbacks
   SET verified = :verified,
       verdict = CASE WHEN verdict IN ('claimed', 'denied', 'late') THEN 'waiting' ELSE verdict END
 WHERE job_id = :job_id AND digest = :digest AND verified <> :verified
RETURNING verdict;

-- name: exists
-- Whether the provider's job is stored.
SELECT 1 FROM jobs WHERE id = :job_id AND provider = :provider;

-- name: jobs-waiting
-- The jobs of the callbacks that have waited longest.
SELECT job_id FROM callbacks WHERE verdict = 'waiting' ORDER BY id LIMIT :limit;

-- name: count-failure
-- Count a failed application; the third is the last.
UPDATE callbacks
   SET tries = tries + 1,
       verdict = CASE WHEN tries + 1 >= :tries THEN 'failed' ELSE verdict END,
       evidence = CASE WHEN tries + 1 >= :tries THEN 'callback' ELSE evidence END
 WHERE id = :callback_id AND verdict = 'waiting'
RETURNING job_id, tries;

-- name: backlog
-- The number of waiting callbacks, and when the oldest was received.
SELECT count(*),
       (SELECT received_at FROM callbacks WHERE verdict = 'waiting' ORDER BY id LIMIT 1)
  FROM callbacks
 WHERE verdict = 'waiting';
