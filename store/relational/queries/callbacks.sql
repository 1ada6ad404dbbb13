-- name: receive
-- The whole of a good callback's arrival: it goes in where the job is kept, its id is not contested,
-- the same bytes are not there yet, and the job has room. No row: read why (`judge`). Run for many
-- at once, each of another job.
INSERT INTO callbacks (job_id, provider, received_at, digest, verdict, headers, body)
WITH arrivals (job_id, provider, at, digest, headers, body, names) AS (
VALUES (:job_id, :provider, :at, :digest, :headers, :body, CAST(:names AS text))
)
SELECT j.id, j.provider, a.at, a.digest, 'waiting', a.headers, a.body
  FROM arrivals a
 CROSS JOIN jobs j
 WHERE j.id = a.job_id AND j.provider = a.provider
   AND (a.names IS NULL OR j.provider_request_id = a.names
        OR (j.provider_request_id IS NULL
            AND NOT EXISTS (SELECT 1 FROM jobs other
                             WHERE other.provider_request_id = a.names
                               AND other.provider = a.provider)))
   AND NOT EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id LIMIT 1 OFFSET :room - 1)
    ON CONFLICT (job_id, digest) DO NOTHING;

-- name: judge
-- Why a callback is no good one: whether its id is contested, what the same bytes were found to be
-- before, and how many the job has. No row: the job is not kept.
SELECT CAST(:names AS text) IS NOT NULL
       AND (j.provider_request_id <> :names
            OR (j.provider_request_id IS NULL
                AND EXISTS (SELECT 1 FROM jobs other
                             WHERE other.provider_request_id = :names
                               AND other.provider = :provider))),
       (SELECT verdict FROM callbacks c WHERE c.job_id = j.id AND c.digest = :digest),
       (SELECT count(*) FROM (SELECT 1 FROM callbacks c WHERE c.job_id = j.id LIMIT :room) AS stored)
  FROM jobs j
 WHERE j.id = :job_id AND j.provider = :provider;

-- name: keep
-- A callback that is recorded and never applied.
INSERT INTO callbacks (job_id, provider, received_at, digest, verdict, evidence, headers, body)
VALUES (:job_id, :provider, :at, :digest, :verdict, 'callback', :headers, :body);

-- name: exists
-- Whether the provider's job is kept.
SELECT 1 FROM jobs WHERE id = :job_id AND provider = :provider;

-- name: waiting
-- Callbacks to apply, oldest first, at most so many bytes of them, and never none for their size.
SELECT id, job_id, provider, received_at, body, tries FROM callbacks
 WHERE verdict = 'waiting' AND id <= (
       SELECT max(id) FROM (
              SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
                     SELECT id, length(body) AS size FROM callbacks
                      WHERE verdict = 'waiting'
                      ORDER BY id
                      LIMIT :limit) AS page) AS sums
        WHERE before < :bytes)
 ORDER BY id;

-- name: count-failure
-- One more failed application; the third is the last.
UPDATE callbacks
   SET tries = tries + 1,
       verdict = CASE WHEN tries + 1 >= :tries THEN 'failed' ELSE verdict END,
       evidence = CASE WHEN tries + 1 >= :tries THEN 'callback' ELSE evidence END
 WHERE id = :callback_id AND verdict = 'waiting'
RETURNING job_id, tries;

-- name: backlog
-- How many wait, and when the oldest came.
SELECT count(*),
       (SELECT received_at FROM callbacks WHERE verdict = 'waiting' ORDER BY id LIMIT 1)
  FROM callbacks
 WHERE verdict = 'waiting';
