-- name: end-leases
-- End the leases of a lane that have expired: their jobs can be leased again.
UPDATE due SET holder = NULL, held_until = NULL
 WHERE lane = :lane AND holder IS NOT NULL AND held_until <= :now;

-- name: list-candidates
-- Due jobs of a lane in fair order: a free slot goes to the user with the fewest in flight, counting
-- those chosen before; ties go to the oldest. Behind them, the first job of each user that is not
-- due yet.
-- The walk goes along an index from row to row: at most `share` due jobs of a user and priority at a
-- provider, then on to the next ones. It begins behind those at which the last one stopped, and
-- stops after `most` rows. So its cost grows neither with backlogs nor with users. Of the providers
-- in `limited` it takes one row: `places.list-waiting` lists their jobs.
-- In flight are the leased jobs of the lane and all in the lane `calls`. `+` and `|| ''` take a
-- column's affinity away, with which SQLite does not use all of the index.
WITH RECURSIVE walk (job_id, provider, user_id, batch, turn, n) AS (
    SELECT (SELECT job_id FROM due
             WHERE lane = :lane AND holder IS NULL
               AND (provider, user_id, batch)
                   > (CAST(:peer AS text), +CAST(:user_id AS bigint), +CAST(:batch AS smallint))
             ORDER BY provider, user_id, batch, at, job_id
             LIMIT 1),
           CAST('' AS text), CAST(0 AS bigint), CAST(0 AS smallint), 0, 1
     UNION ALL
    SELECT (SELECT d.job_id FROM due d
             WHERE d.lane = :lane AND d.holder IS NULL
               AND (d.provider, d.user_id, d.batch, d.at, d.job_id)
                   > (here.provider,
                      CASE WHEN {position}(CAST(:limited AS text), ',' || here.provider || ',') > 0
                           THEN 9223372036854775807 ELSE here.user_id END,
                      +here.batch,
                      CASE WHEN here.at <= :now
                            AND (here.provider <> walk.provider OR here.user_id <> walk.user_id
                                 OR here.batch <> walk.batch OR walk.turn + 1 < :share)
                           THEN here.at ELSE 9223372036854775807 END,
                      here.job_id || '')
             ORDER BY d.provider, d.user_id, d.batch, d.at, d.job_id
             LIMIT 1),
           here.provider, here.user_id, here.batch,
           CASE WHEN here.provider = walk.provider AND here.user_id = walk.user_id
                 AND here.batch = walk.batch
                THEN walk.turn + 1 ELSE 1 END,
           walk.n + 1
      FROM walk CROSS JOIN due here
     WHERE here.job_id = walk.job_id AND walk.n < :most)
SELECT walk.n, d.job_id, d.job_id, d.user_id, d.provider, d.at,
       coalesce(in_flight.jobs, 0)
       + row_number() OVER (PARTITION BY d.user_id ORDER BY d.at, d.job_id) AS rank,
       d.batch
  FROM walk CROSS JOIN due d
  LEFT JOIN (SELECT user_id, count(*) AS jobs
               FROM (SELECT user_id FROM due WHERE lane = :lane AND holder IS NOT NULL
                      UNION ALL
                     SELECT user_id FROM due WHERE lane = :calls AND holder IS NULL) AS calls
              GROUP BY user_id) AS in_flight
    ON in_flight.user_id = d.user_id
 WHERE d.job_id = walk.job_id
 ORDER BY d.at > :now, rank, d.at, d.job_id;

-- name: next-lease-end
-- When the first lease of a lane ends.
SELECT min(held_until) FROM due WHERE lane = :lane AND holder IS NOT NULL;

-- name: lease
-- Lease a job that is due in a lane, for one process.
UPDATE due SET holder = :holder, held_until = :until
 WHERE job_id = :job_id AND lane = :lane AND holder IS NULL AND at <= :now
RETURNING job_id;

-- name: release
-- Release the unused lease of a job in a lane; the job is due as before.
UPDATE due SET holder = NULL, held_until = NULL
 WHERE job_id = :job_id AND lane = :lane AND holder = :holder
RETURNING lane, at;

-- name: postpone
-- Release the unused lease of a job in a lane; the job is due later.
UPDATE due SET at = :at, holder = NULL, held_until = NULL
 WHERE job_id = :job_id AND lane = :lane AND holder = :holder
RETURNING lane;

-- name: put-off
-- Look at a job again later, if it is still due: it could not be changed.
UPDATE due SET at = :at WHERE job_id = :job_id AND lane = :lane AND at <= :now;
