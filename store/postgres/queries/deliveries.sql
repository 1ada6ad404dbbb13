-- name: due-places
-- Each host and user with something due, the longest due first, but for hosts that are full. It
-- skips from one pair to the next in the index, whatever the length of their backlogs.
WITH RECURSIVE place (host, user_id, next_attempt_at) AS (
    (SELECT host, user_id, next_attempt_at FROM deliveries
      WHERE state = 'pending'
      ORDER BY host, user_id, next_attempt_at
      LIMIT 1)
     UNION ALL
    SELECT there.host, there.user_id, there.next_attempt_at
      FROM place here CROSS JOIN LATERAL (
           SELECT d.host, d.user_id, d.next_attempt_at FROM deliveries d
            WHERE d.state = 'pending' AND (d.host, d.user_id) > (here.host, here.user_id)
            ORDER BY d.host, d.user_id, d.next_attempt_at
            LIMIT 1) AS there)
SELECT host, user_id FROM place
 WHERE next_attempt_at <= :now
   AND host NOT IN (SELECT jsonb_array_elements_text(CAST(:full AS jsonb)))
 ORDER BY next_attempt_at;

-- name: due-at-place
-- What may be sent to a host for a user: one in flight a job, the job's oldest first, and what
-- somebody asked for again out of that order. The job is locked, so that no other process takes a
-- message of it meanwhile, and one that is locked is passed over.
SELECT d.id, d.job_id FROM deliveries d JOIN jobs j ON j.id = d.job_id
 WHERE d.state = 'pending' AND d.host = :host AND d.user_id = :user_id
   AND d.next_attempt_at <= :now
   AND NOT EXISTS (SELECT 1 FROM deliveries flying
                    WHERE flying.job_id = d.job_id AND flying.state = 'pending'
                      AND flying.held_until > :now)
   AND (d.retried
        OR NOT EXISTS (SELECT 1 FROM deliveries older
                        WHERE older.job_id = d.job_id AND older.state = 'pending'
                          AND NOT older.retried AND older.seq < d.seq))
 ORDER BY d.next_attempt_at
 LIMIT :limit
   FOR NO KEY UPDATE OF j SKIP LOCKED;
