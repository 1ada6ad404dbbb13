-- name: list-by-metadata
-- A user's jobs with the given metadata, newest first. One member selects the candidates, then all
-- are compared. The CROSS JOIN keeps the order of the tables, and so the order of the ids.
SELECT j.* FROM job_metadata m CROSS JOIN archived_job_rows j ON j.id = m.job_id
 WHERE m.user_id = :user_id AND m.name = :name AND m.value = :value
   AND m.job_id < :before AND m.job_id >= :first
   AND j.created_at > :created_after AND j.created_at < :created_before
   AND (:status IS NULL OR j.status = :status)
   AND (:kind IS NULL OR j.kind = :kind)
   AND (:provider IS NULL OR j.provider = :provider)
   AND NOT EXISTS (
       SELECT 1 FROM json_each(:metadata) AS wanted
        WHERE NOT EXISTS (SELECT 1 FROM job_metadata other
                           WHERE other.user_id = :user_id AND other.name = wanted.key
                             AND other.value = wanted.value AND other.job_id = m.job_id))
 ORDER BY m.job_id DESC
 LIMIT :limit;

-- name: look-through
-- Those of the newest `most` jobs of a user, or of all users, that match the filter; and the last
-- one examined, if there are that many. `n` numbers the examined jobs.
SELECT id, n, fits FROM (
    SELECT id, row_number() OVER (ORDER BY id DESC) AS n,
           created_at > :created_after AND created_at < :created_before
           AND (CAST(:status AS text) IS NULL OR status = :status)
           AND (CAST(:kind AS text) IS NULL OR kind = :kind)
           AND (CAST(:provider AS text) IS NULL OR provider = :provider)
           AND (CAST(:label AS text) IS NULL OR lower(label) LIKE :label ESCAPE '\')
           AND NOT EXISTS (
               SELECT 1 FROM json_each(:metadata) AS wanted
                WHERE NOT EXISTS (SELECT 1 FROM job_metadata m
                                   WHERE m.job_id = looked.id AND m.name = wanted.key
                                     AND m.value = wanted.value)) AS fits
      FROM (SELECT id, created_at, status, kind, provider, label FROM jobs
             WHERE {whose} AND id < :before AND id >= :first
             ORDER BY id DESC
             LIMIT :most) AS looked) AS numbered
 WHERE fits OR n = :most
 ORDER BY n
 LIMIT :limit;

-- name: lease-due
-- Lease jobs that are due in a lane and not leased, earliest first. A lease beyond `latest_end` was
-- taken before the clock was set back.
UPDATE due SET holder = :holder, held_until = :until
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = :lane AND at <= :now
                     AND (holder IS NULL OR held_until <= :now OR held_until > :latest_end)
                   ORDER BY at
                   LIMIT :limit)
RETURNING job_id, at;

-- name: list-removable
-- Jobs that ended long ago and have nothing pending.
SELECT j.id FROM jobs j
 WHERE j.done_at < :done_before AND j.done_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.job_id = j.id AND d.state = 'pending')
   AND NOT EXISTS (SELECT 1 FROM callbacks c
                    WHERE c.job_id = j.id AND c.verdict IN ('waiting', 'claimed'))
   AND NOT EXISTS (SELECT 1 FROM due f WHERE f.job_id = j.id AND f.lane = 'archive')
 ORDER BY j.done_at
 LIMIT :limit;

-- name: list-by-column
-- As `list-by-user`, with one value in an indexed column, and optionally one kind and one provider.
-- Without `unlikely`, newer releases of SQLite (3.53) search all jobs of the user.
SELECT * FROM archived_job_rows
 WHERE user_id = :user_id AND unlikely({column} = :value) AND id < :before AND id >= :first
   AND created_at > :created_after AND created_at < :created_before
   AND (CAST(:kind AS text) IS NULL OR kind = :kind)
   AND (CAST(:provider AS text) IS NULL OR provider = :provider)
 ORDER BY id DESC
 LIMIT :limit;
