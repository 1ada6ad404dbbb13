-- name: due-places
-- Each host and user with something due, the longest due first, but for hosts that are full. It
-- skips from one pair to the next in the index, whatever the length of their backlogs: the largest
-- time there is stands after all of a pair's rows, and the `+` takes from the user's id the
-- affinity that would keep the comparison from the index.
WITH RECURSIVE place (id) AS (
    SELECT (SELECT rowid FROM deliveries
             WHERE state = 'pending'
             ORDER BY host, user_id, next_attempt_at
             LIMIT 1)
     UNION ALL
    SELECT (SELECT rowid FROM deliveries
             WHERE state = 'pending'
               AND (host, user_id, next_attempt_at)
                   > (here.host, +here.user_id, 9223372036854775807)
             ORDER BY host, user_id, next_attempt_at
             LIMIT 1)
      FROM place CROSS JOIN deliveries here ON here.rowid = place.id)
SELECT d.host, d.user_id FROM place CROSS JOIN deliveries d ON d.rowid = place.id
 WHERE d.next_attempt_at <= :now
   AND d.host NOT IN (SELECT value FROM json_each(:full))
 ORDER BY d.next_attempt_at;

-- name: due-at-place
-- What may be sent to a host for a user: one in flight a job, the job's oldest first, and what
-- somebody asked for again out of that order.
SELECT d.id, d.job_id FROM deliveries d
 WHERE d.state = 'pending' AND d.host = :host AND d.user_id = :user_id
   AND d.next_attempt_at <= :now
   AND NOT EXISTS (SELECT 1 FROM deliveries flying
                    WHERE flying.job_id = d.job_id AND flying.state = 'pending'
                      AND flying.held_until > :now)
   AND (d.retried = 1
        OR NOT EXISTS (SELECT 1 FROM deliveries older
                        WHERE older.job_id = d.job_id AND older.state = 'pending'
                          AND older.retried = 0 AND older.seq < d.seq))
 ORDER BY d.next_attempt_at
 LIMIT :limit;
