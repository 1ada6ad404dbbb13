-- name: list-by-metadata
-- A user's jobs with some metadata, newest first. One member finds the candidates, all of them are
-- compared.
SELECT j.* FROM job_metadata m JOIN job_rows j ON j.id = m.job_id
 WHERE m.user_id = :user_id AND m.name = :name AND m.value = :value
   AND m.job_id < :before AND m.job_id >= :first
   AND j.created_at > :created_after AND j.created_at < :created_before
   AND (CAST(:status AS text) IS NULL OR j.status = :status)
   AND (CAST(:kind AS text) IS NULL OR j.kind = :kind)
   AND NOT EXISTS (
       SELECT 1 FROM jsonb_each_text(
              -- As texts are stored (see session.py).
              CAST(replace(:metadata, '\u0000', '\u2400') AS jsonb)) AS wanted
        WHERE NOT EXISTS (SELECT 1 FROM job_metadata other
                           WHERE other.user_id = :user_id AND other.name = wanted.key
                             AND other.value = wanted.value AND other.job_id = m.job_id))
 ORDER BY m.job_id DESC
 LIMIT :limit;

-- name: lease-due
-- Hold what is due in a lane and held by nobody, earliest first. What another process takes at this
-- moment is passed over.
UPDATE due SET holder = :holder, held_until = :until
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = :lane AND at <= :now
                     AND (holder IS NULL OR held_until <= :now)
                   ORDER BY at
                   LIMIT :limit
                     FOR UPDATE SKIP LOCKED)
RETURNING job_id, at;

-- name: list-removable
-- Jobs that ended long ago and that nothing is pending about, but those that somebody changes now.
SELECT j.id FROM jobs j
 WHERE j.done_at < :done_before AND j.done_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.job_id = j.id AND d.state = 'pending')
   AND NOT EXISTS (SELECT 1 FROM callbacks c
                    WHERE c.job_id = j.id AND c.verdict IN ('waiting', 'claimed'))
 ORDER BY j.done_at
 LIMIT :limit
   FOR UPDATE OF j SKIP LOCKED;

-- name: lock-jobs
-- Lock what a batch is going to change, in one order for all processes. What refers to a job (its
-- callbacks as they arrive) does not wait for this lock.
SELECT id FROM jobs
 WHERE id IN (SELECT unnest(CAST(:jobs AS text[]))
               UNION
              SELECT job_id FROM deliveries WHERE id = ANY (CAST(:deliveries AS text[])))
 ORDER BY id
   FOR NO KEY UPDATE;
