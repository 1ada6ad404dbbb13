-- name: lease-of-user
-- Lease a user's due jobs at a provider, earliest first. This also fills in provider and
-- user of rows written by an older release.
UPDATE due
   SET holder = :holder, held_until = :until,
       (provider, user_id) = (SELECT j.provider, j.user_id FROM jobs j WHERE j.id = due.job_id)
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = :lane AND holder IS NULL
                     AND provider = :provider AND user_id = :user_id AND at <= :now
                   ORDER BY at
                   LIMIT :limit {skip_locked})
RETURNING job_id, at;

-- name: end-leases
-- End leases that have expired, or were taken before the clock was set back.
UPDATE due SET holder = NULL, held_until = NULL
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = :lane AND holder IS NOT NULL AND held_until <= :now
                   UNION ALL
                  SELECT job_id FROM due
                   WHERE lane = :lane AND holder IS NOT NULL AND held_until > :latest_end);
