-- name: recent-jobs
-- How the newest jobs stand. Of the two reads one gives nothing: a user's jobs, or everybody's.
SELECT * FROM (SELECT created_at, status, evidence, done_at FROM jobs
                WHERE user_id = :user_id AND id >= :first AND created_at >= :since
                ORDER BY id DESC LIMIT :limit) AS own
 UNION ALL
SELECT * FROM (SELECT created_at, status, evidence, done_at FROM jobs
                WHERE CAST(:user_id AS bigint) IS NULL AND id >= :first AND created_at >= :since
                ORDER BY id DESC LIMIT :limit) AS everybodys;

-- name: recent-attempts
-- The attempts of the newest deliveries, in the same way; a delivery without one is a row too.
SELECT d.id, d.host, d.state, d.created_at, a.at, a.status_code, a.error, a.duration_ms
  FROM (SELECT * FROM (SELECT id, host, state, created_at FROM deliveries
                        WHERE user_id = :user_id AND id >= :first
                        ORDER BY id DESC LIMIT :limit) AS own
         UNION ALL
        SELECT * FROM (SELECT id, host, state, created_at FROM deliveries
                        WHERE CAST(:user_id AS bigint) IS NULL AND id >= :first
                        ORDER BY id DESC LIMIT :limit) AS everybodys) AS d
  LEFT JOIN attempts a ON a.delivery_id = d.id
 LIMIT :attempts;
