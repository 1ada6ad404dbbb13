-- name: backlog
-- Number of jobs with pending files, and when the oldest of them ended. In two parts, since `due`
-- has one partial index for unleased rows and one for leases; otherwise SQLite would scan it.
SELECT count(*), min(j.done_at)
  FROM (SELECT job_id FROM due WHERE lane = 'archive' AND holder IS NULL
         UNION ALL
        SELECT job_id FROM due WHERE lane = 'archive' AND holder IS NOT NULL) AS d
  JOIN jobs j ON j.id = d.job_id;

-- name: count-users-bytes
-- Count bytes of a user's files that were stored.
UPDATE users SET archived_bytes = archived_bytes + :archived WHERE id = :user_id;

-- name: users-bytes
-- How many bytes of a user's files are stored.
SELECT archived_bytes FROM users WHERE id = :user_id;

-- name: remember-files
-- Remember a job that is removed, if it has files to archive, even if none is stored yet.
INSERT INTO archive_removals (job_id, user_name)
SELECT j.id, u.name FROM jobs j JOIN users u ON u.id = j.user_id
 WHERE j.id = :job_id AND j.archive IS NOT NULL;

-- name: list-removals
-- Removed jobs whose files may still exist, by id, after the id `after`.
SELECT job_id, user_name FROM archive_removals WHERE job_id > :after ORDER BY job_id LIMIT :limit;

-- name: forget-removal
-- Forget a removed job: its files are gone.
DELETE FROM archive_removals WHERE job_id = :job_id;
