-- name: due-places
-- Each host and user with something due, the longest due first. It skips from one pair to the next
-- in the index, whatever the length of their backlogs.
WITH RECURSIVE place (id) AS (
    SELECT (SELECT rowid FROM deliveries
             WHERE state = 'pending'
             ORDER BY host, user_id, next_attempt_at
             LIMIT 1)
     UNION ALL
    SELECT (SELECT rowid FROM deliveries
             WHERE state = 'pending' AND (host, user_id, next_attempt_at) > (here.host, +here.user_id, 9223372036854775807)
             ORDER BY host, user_id, next_attempt_at
             LIMIT 1)
      FROM place CROSS JOIN deliveries here ON here.rowid = place.id)
SELECT d.host, d.user_id FROM place CROSS JOIN deliveries d ON d.rowid = place.id
 WHERE d.next_attempt_at <= :now
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
