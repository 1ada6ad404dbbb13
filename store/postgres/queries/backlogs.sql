-- name: list-backlogs
-- By time: each provider and user with a due, unleased job; the pair whose job is due next; and all
-- leases, by their ends. A loose index scan skips from pair to pair, so the cost
-- does not depend on the length of their backlogs.
WITH RECURSIVE first_of_user (provider, user_id, at) AS (
    (SELECT provider, user_id, at FROM due
      WHERE lane = :lane AND holder IS NULL
      ORDER BY provider, user_id, at
      LIMIT 1)
     UNION ALL
    SELECT there.provider, there.user_id, there.at
      FROM first_of_user here CROSS JOIN LATERAL (
           SELECT d.provider, d.user_id, d.at FROM due d
            WHERE d.lane = :lane AND d.holder IS NULL
              AND (d.provider, d.user_id) > (here.provider, here.user_id)
            ORDER BY d.provider, d.user_id, d.at
            LIMIT 1) AS there)
SELECT FALSE AS is_leased, provider, user_id, at
  FROM (SELECT provider, user_id, at, lag(at, 1, 0) OVER (ORDER BY at) AS earlier
          FROM first_of_user) AS firsts
 WHERE earlier <= :now
 UNION ALL
SELECT TRUE, provider, user_id, held_until FROM due
 WHERE lane = :lane AND holder IS NOT NULL
 ORDER BY at;

-- name: lease-of-user
-- Lease a user's due jobs at a provider, earliest first. This also fills in provider and
-- user of rows written by an older release.
-- The jobs are chosen once, before any is leased. As a subquery of IN, the choice would be made
-- again for each row in some plans, each time without the rows leased so far, whatever the limit.
WITH chosen AS MATERIALIZED (
    SELECT job_id FROM due
     WHERE lane = :lane AND holder IS NULL
       AND provider = :provider AND user_id = :user_id AND at <= :now
     ORDER BY at
     LIMIT :limit
       FOR UPDATE SKIP LOCKED)
UPDATE due
   SET holder = :holder, held_until = :until,
       (provider, user_id) = (SELECT j.provider, j.user_id FROM jobs j WHERE j.id = due.job_id)
 WHERE job_id IN (SELECT job_id FROM chosen)
RETURNING job_id, at;

-- name: end-leases
-- End leases that have expired, or were taken before the clock was set back. No subquery chooses
-- them: once a row is no longer locked by another process, the server checks only the conditions of
-- the UPDATE itself again, and the lease may be a fresh one.
UPDATE due SET holder = NULL, held_until = NULL
 WHERE lane = :lane AND holder IS NOT NULL AND (held_until <= :now OR held_until > :latest_end);
