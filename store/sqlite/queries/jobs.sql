-- name: list-by-metadata
-- The same with some metadata. One member finds the candidates, all of them are compared: the
-- CROSS JOIN keeps the order of the tables, and so the order of the ids.
SELECT j.* FROM job_metadata m CROSS JOIN job_rows j ON j.id = m.job_id
 WHERE m.user_id = :user_id AND m.name = :name AND m.value = :value
   AND m.job_id < :before AND m.job_id >= :first
   AND j.created_at > :created_after AND j.created_at < :created_before
   AND (:status IS NULL OR j.status = :status)
   AND (:kind IS NULL OR j.kind = :kind)
   AND NOT EXISTS (
       SELECT 1 FROM json_each(:metadata) AS wanted
        WHERE NOT EXISTS (SELECT 1 FROM job_metadata other
                           WHERE other.user_id = :user_id AND other.name = wanted.key
                             AND other.value = wanted.value AND other.job_id = m.job_id))
 ORDER BY m.job_id DESC
 LIMIT :limit;

-- name: lease-due
-- Hold what is due in a lane and held by nobody, earliest first.
UPDATE due SET holder = :holder, held_until = :until
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = :lane AND at <= :now
                     AND (holder IS NULL OR held_until <= :now)
                   ORDER BY at
                   LIMIT :limit)
RETURNING job_id, at;

-- name: list-removable
-- Jobs that ended long ago and that nothing is pending about.
SELECT j.id FROM jobs j
 WHERE j.done_at < :done_before AND j.done_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.job_id = j.id AND d.state = 'pending')
   AND NOT EXISTS (SELECT 1 FROM callbacks c
                    WHERE c.job_id = j.id AND c.verdict IN ('waiting', 'claimed'))
 ORDER BY j.done_at
 LIMIT :limit;
