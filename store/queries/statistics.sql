-- name: recent-jobs
-- The state of the newest jobs, of one user or of all.
SELECT created_at, status, evidence, done_at FROM jobs
 WHERE {whose} AND id >= :first
 ORDER BY id DESC
 LIMIT :limit;

-- name: recent-attempts
-- The attempts of the newest deliveries, likewise. A delivery without attempts is one row.
SELECT d.id, d.host, d.state, d.created_at, a.at, a.status_code, a.error, a.duration_ms
  FROM (SELECT id, host, state, created_at FROM deliveries
         WHERE {whose} AND id >= :first
         ORDER BY id DESC
         LIMIT :limit) AS d
  LEFT JOIN attempts a ON a.delivery_id = d.id
 LIMIT :attempts;
