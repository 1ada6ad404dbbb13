-- name: due-hosts
-- Pairs of user and host with messages due, after a given pair up to user `last`, `most` hosts per
-- user: the row that reaches the limit is returned too, due or not. A loose index scan skips from
-- pair to pair: the largest possible time sorts after all of a pair's rows, and the `+` removes the
-- user id's affinity, which would keep the comparison from using the index. `n` counts the hosts of
-- `user_id` before the row.
WITH RECURSIVE pair (id, user_id, n) AS (
    SELECT (SELECT rowid FROM deliveries
             WHERE state = 'pending'
               AND (user_id, host, next_attempt_at) > (:user_id, :host, 9223372036854775807)
             ORDER BY user_id, host, next_attempt_at
             LIMIT 1), :user_id, 0
     UNION ALL
    SELECT (SELECT rowid FROM deliveries
             WHERE state = 'pending'
               AND (user_id, host, next_attempt_at)
                   > (here.user_id + (here.user_id = pair.user_id AND pair.n + 1 >= :most),
                      iif(here.user_id = pair.user_id AND pair.n + 1 >= :most, '', here.host),
                      9223372036854775807)
             ORDER BY user_id, host, next_attempt_at
             LIMIT 1), here.user_id, iif(here.user_id = pair.user_id, pair.n, 0) + 1
      FROM pair CROSS JOIN deliveries here ON here.rowid = pair.id
     WHERE here.user_id <= :last)
SELECT d.next_attempt_at, d.user_id, d.host, d.user_id = pair.user_id AND pair.n + 1 >= :most AS cut
  FROM pair CROSS JOIN deliveries d ON d.rowid = pair.id
 WHERE d.user_id <= :last AND (d.next_attempt_at <= :now OR cut);

-- name: due-to-host
-- Messages of a user that may be sent to a host: one in flight per job, the job's oldest first,
-- with requested retries out of that order.
SELECT d.id, d.job_id FROM deliveries d
 WHERE d.state = 'pending' AND d.host = :host AND d.user_id = :user_id
   AND d.next_attempt_at <= :now
   AND d.job_id NOT IN (SELECT job_id FROM deliveries
                         WHERE holder IS NOT NULL
                           AND held_until > :now AND held_until <= :latest_end)
   AND (d.retried = 1
        OR NOT EXISTS (SELECT 1 FROM deliveries older
                        WHERE older.job_id = d.job_id AND older.state = 'pending'
                          AND older.retried = 0 AND older.seq < d.seq))
 ORDER BY d.next_attempt_at
 LIMIT :limit;

-- name: skip-overtaken
-- Skip a message that was overtaken while it was being sent: an update by a newer message of its
-- job, or a self-declared failure by the job's real outcome.
UPDATE deliveries
   SET state = 'skipped', next_attempt_at = NULL, holder = NULL, held_until = NULL
 WHERE id = :delivery_id AND state = 'pending' AND NOT retried
   AND (NOT final AND EXISTS (SELECT 1 FROM deliveries newer
                               WHERE newer.job_id = deliveries.job_id AND newer.state = 'pending'
                                 AND newer.seq > deliveries.seq)
        OR self_declared AND EXISTS (SELECT 1 FROM jobs
                                      WHERE jobs.id = deliveries.job_id
                                        AND jobs.seq > deliveries.seq));
