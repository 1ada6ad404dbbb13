-- name: due-hosts
-- Pairs of user and host with messages due, after a given pair up to user `last`, `most` hosts per
-- user: the row that reaches the limit is returned too, due or not. A loose index scan skips from
-- pair to pair, so the cost does not depend on the length of their backlogs.
WITH RECURSIVE pair (next_attempt_at, user_id, host, n) AS (
    (SELECT next_attempt_at, user_id, host, CAST(1 AS bigint) FROM deliveries
      WHERE state = 'pending'
        AND (user_id, host) > (CAST(:user_id AS bigint), CAST(:host AS text))
      ORDER BY user_id, host, next_attempt_at
      LIMIT 1)
     UNION ALL
    SELECT there.next_attempt_at, there.user_id, there.host,
           CASE WHEN there.user_id = here.user_id THEN here.n + 1 ELSE 1 END
      FROM pair here CROSS JOIN LATERAL (
           SELECT d.next_attempt_at, d.user_id, d.host FROM deliveries d
            WHERE d.state = 'pending'
              AND (d.user_id, d.host)
                  > (here.user_id + CASE WHEN here.n >= :most THEN 1 ELSE 0 END,
                     CASE WHEN here.n >= :most THEN '' ELSE here.host END)
            ORDER BY d.user_id, d.host, d.next_attempt_at
            LIMIT 1) AS there
     WHERE here.user_id <= :last)
SELECT next_attempt_at, user_id, host, n >= :most AS cut FROM pair
 WHERE user_id <= :last AND (next_attempt_at <= :now OR n >= :most);

-- name: due-to-host
-- Messages of a user that may be sent to a host: one in flight per job, the job's oldest first,
-- with requested retries out of that order. The job is locked, so that no other process leases one
-- of its messages at the same time; locked jobs are skipped.
SELECT d.id, d.job_id FROM deliveries d JOIN jobs j ON j.id = d.job_id
 WHERE d.state = 'pending' AND d.host = :host AND d.user_id = :user_id
   AND d.next_attempt_at <= :now
   AND d.job_id NOT IN (SELECT job_id FROM deliveries
                         WHERE holder IS NOT NULL
                           AND held_until > :now AND held_until <= :latest_end)
   AND (d.retried
        OR NOT EXISTS (SELECT 1 FROM deliveries older
                        WHERE older.job_id = d.job_id AND older.state = 'pending'
                          AND NOT older.retried AND older.seq < d.seq))
 ORDER BY d.next_attempt_at
 LIMIT :limit
   FOR NO KEY UPDATE OF j SKIP LOCKED;

-- name: skip-overtaken
-- Skip a message that was overtaken while it was being sent: an update by a newer message of its
-- job, or a self-declared failure by the job's real outcome. Not one that another process has leased
-- again since its lease was seen to have ended.
UPDATE deliveries
   SET state = 'skipped', next_attempt_at = NULL, holder = NULL, held_until = NULL
 WHERE id = :delivery_id AND state = 'pending' AND NOT retried
   AND (holder IS NULL OR held_until <= :now OR held_until > :latest_end)
   AND (NOT final AND EXISTS (SELECT 1 FROM deliveries newer
                               WHERE newer.job_id = deliveries.job_id AND newer.state = 'pending'
                                 AND newer.seq > deliveries.seq)
        OR self_declared AND EXISTS (SELECT 1 FROM jobs
                                      WHERE jobs.id = deliveries.job_id
                                        AND jobs.seq > deliveries.seq));
