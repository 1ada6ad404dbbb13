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
