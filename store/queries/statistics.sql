-- name: recent-jobs
-- The state of the newest jobs, of one user or of all: one of the two SELECTs is always empty.
SELECT * FROM (SELECT created_at, status, evidence, done_at FROM jobs
                WHERE user_id = :user_id AND id >= :first AND created_at >= :since
                ORDER BY id DESC LIMIT :limit) AS own
 UNION ALL
SELECT * FROM (SELECT created_at, status, evidence, done_at FROM jobs
                WHERE CAST(:user_id AS bigint) IS NULL AND id >= :first AND created_at >= :since
                ORDER BY id DESC LIMIT :limit) AS everybodys;

-- name: recent-attempts
-- The attempts of the newest deliveries, likewise. A delivery without attempts is one row.
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
