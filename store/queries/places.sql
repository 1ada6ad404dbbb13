-- name: count-in-flight
-- How many jobs are in flight at a provider, and whether any waits.
SELECT (SELECT count(*) FROM jobs
         WHERE provider = :provider AND phase <> 'finished'
           AND phase IN ('submitting', 'submit_unconfirmed', 'accepted', 'rendering', 'confirming')),
       (SELECT job_id FROM due
         WHERE lane = 'submit' AND holder IS NULL AND provider = :provider
         ORDER BY user_id, batch, at, job_id
         LIMIT 1) IS NOT NULL;

-- name: list-waiting
-- Jobs that wait at a provider, in the order in which they get its free places: normal before
-- batch; then of the user with the fewest in flight there, counting those before; ties go to the
-- user whose next job is the oldest. Behind them, the first jobs that are not due yet.
-- The walk is that of `due.list-candidates`, at most `share` jobs of each user and priority. It is
-- not bounded: any user could be the one with the fewest in flight.
-- `turn <= share` always holds; without it PostgreSQL expects more rows, and reads a table of a
-- thousand rows as a whole at each step.
WITH RECURSIVE walk (job_id, user_id, batch, turn) AS (
    SELECT (SELECT job_id FROM due
             WHERE lane = 'submit' AND holder IS NULL AND provider = :provider
             ORDER BY user_id, batch, at, job_id
             LIMIT 1),
           CAST(0 AS bigint), CAST(0 AS smallint), 0
     UNION ALL
    SELECT (SELECT d.job_id FROM due d
             WHERE d.lane = 'submit' AND d.holder IS NULL AND d.provider = :provider
               AND (d.user_id, d.batch, d.at, d.job_id)
                   > (+here.user_id, +here.batch,
                      CASE WHEN here.at <= :now
                            AND (here.user_id <> walk.user_id OR here.batch <> walk.batch
                                 OR walk.turn + 1 < :share)
                           THEN here.at ELSE 9223372036854775807 END,
                      here.job_id || '')
             ORDER BY d.user_id, d.batch, d.at, d.job_id
             LIMIT 1),
           here.user_id, here.batch,
           CASE WHEN here.user_id = walk.user_id AND here.batch = walk.batch
                THEN walk.turn + 1 ELSE 1 END
      FROM walk CROSS JOIN due here
     WHERE here.job_id = walk.job_id AND walk.turn <= :share)
SELECT d.job_id, d.job_id, d.user_id, d.provider, d.at,
       coalesce(calls.jobs, 0) + row_number() OVER (PARTITION BY d.user_id
                                                    ORDER BY d.batch, d.at, d.job_id),
       d.batch
  FROM walk CROSS JOIN due d
  LEFT JOIN (SELECT user_id, count(*) AS jobs FROM jobs
              WHERE provider = :provider AND phase <> 'finished'
                AND phase IN ('submitting', 'submit_unconfirmed', 'accepted', 'rendering',
                              'confirming')
              GROUP BY user_id) AS in_flight
    ON in_flight.user_id = d.user_id
  LEFT JOIN (SELECT user_id, count(*) AS jobs FROM due
              WHERE lane = 'submitting' AND holder IS NULL
              GROUP BY user_id) AS calls
    ON calls.user_id = d.user_id
 WHERE d.job_id = walk.job_id
 ORDER BY d.at > :now, d.batch,
          coalesce(in_flight.jobs, 0) + row_number() OVER (PARTITION BY d.user_id
                                                           ORDER BY d.batch, d.at, d.job_id),
          d.at, d.job_id;

-- name: count-by-user
-- The unfinished jobs of each user at each provider: in flight, and queued.
SELECT j.provider, j.user_id, u.name,
       CAST(sum(CASE WHEN j.phase <> 'queued' THEN j.jobs ELSE 0 END) AS bigint) AS in_flight,
       CAST(sum(CASE WHEN j.phase = 'queued' THEN j.jobs ELSE 0 END) AS bigint) AS waiting
  FROM (SELECT phase, provider, user_id, count(*) AS jobs
          FROM jobs
         WHERE phase <> 'finished'
         GROUP BY phase, provider, user_id) AS j
  JOIN users u ON u.id = j.user_id
 GROUP BY j.provider, j.user_id, u.name
 ORDER BY waiting DESC, in_flight DESC, u.name;

-- name: count-ahead
-- How many jobs of the same user wait at the same provider and go before a job that was created at
-- `created_at`. `by_priority`: normal before batch. `batch` is the priority of a job that is not
-- stored yet.
SELECT (SELECT count(*) FROM due d
         WHERE d.lane = 'submit' AND d.holder IS NULL AND d.provider = :provider
           AND d.user_id = :user_id AND d.batch = 0
           AND (d.at, d.job_id) < (CASE WHEN me.batch = 1 AND :by_priority
                                        THEN 9223372036854775807 ELSE :created_at END,
                                   :job_id))
       + (SELECT count(*) FROM due d
           WHERE d.lane = 'submit' AND d.holder IS NULL AND d.provider = :provider
             AND d.user_id = :user_id AND d.batch = 1
             AND (d.at, d.job_id) < (CASE WHEN me.batch = 0 AND :by_priority
                                          THEN -1 ELSE :created_at END,
                                     :job_id))
  FROM (SELECT coalesce((SELECT batch FROM due WHERE job_id = :job_id),
                        CAST(:batch AS smallint)) AS batch) AS me;

-- name: last-attempt
-- The note of a queued job's last attempt.
SELECT detail FROM notes
 WHERE job_id = :job_id AND type = 'submission'
 ORDER BY id DESC
 LIMIT 1;
