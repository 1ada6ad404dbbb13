-- name: list-backlogs
-- By time: each provider and user with a due, unleased job; the pair whose job is due next; and all
-- leases, by their ends. A loose index scan skips from pair to pair: the largest
-- possible time sorts after all of a user's rows, and the `+` removes the user id's affinity, which
-- would keep the comparison from using the index.
WITH RECURSIVE first_of_user (job_id) AS (
    SELECT (SELECT job_id FROM due INDEXED BY due_by_turn
             WHERE lane = :lane AND holder IS NULL
             ORDER BY provider, user_id, at
             LIMIT 1)
     UNION ALL
    SELECT (SELECT job_id FROM due INDEXED BY due_by_turn
             WHERE lane = :lane AND holder IS NULL
               AND (provider, user_id, at) > (here.provider, +here.user_id, 9223372036854775807)
             ORDER BY provider, user_id, at
             LIMIT 1)
      FROM first_of_user CROSS JOIN due here ON here.job_id = first_of_user.job_id)
SELECT FALSE AS is_leased, provider, user_id, at
  FROM (SELECT d.provider, d.user_id, d.at, lag(d.at, 1, 0) OVER (ORDER BY d.at) AS earlier
          FROM first_of_user CROSS JOIN due d ON d.job_id = first_of_user.job_id) AS firsts
 WHERE earlier <= :now
 UNION ALL
SELECT TRUE, provider, user_id, held_until FROM due
 WHERE lane = :lane AND holder IS NOT NULL
 ORDER BY at;

-- name: lease-of-user
-- Lease a user's due jobs at a provider, earliest first. This also fills in provider and
-- user of rows written by an older release.
UPDATE due
   SET holder = :holder, held_until = :until,
       (provider, user_id) = (SELECT j.provider, j.user_id FROM jobs j WHERE j.id = due.job_id)
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = :lane AND holder IS NULL
                     AND provider = :provider AND user_id = :user_id AND at <= :now
                   ORDER BY at
                   LIMIT :limit)
RETURNING job_id, at;

-- name: end-leases
-- End leases that have expired, or were taken before the clock was set back.
UPDATE due SET holder = NULL, held_until = NULL
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = :lane AND holder IS NOT NULL AND held_until <= :now
                   UNION ALL
                  SELECT job_id FROM due
                   WHERE lane = :lane AND holder IS NOT NULL AND held_until > :latest_end);
