-- name: list-ended-leases
-- Providers and users of submissions whose lease has expired, or was taken before the clock was set
-- back.
SELECT provider, user_id FROM due
 WHERE lane = 'submit' AND holder IS NOT NULL AND held_until <= :now
UNION ALL
SELECT provider, user_id FROM due
 WHERE lane = 'submit' AND holder IS NOT NULL AND held_until > :latest_end;

-- name: end-leases
-- End leases that have expired, or were taken before the clock was set back.
UPDATE due SET holder = NULL, held_until = NULL
 WHERE job_id IN (SELECT job_id FROM due
                   WHERE lane = 'submit' AND holder IS NOT NULL AND held_until <= :now
                   UNION ALL
                  SELECT job_id FROM due
                   WHERE lane = 'submit' AND holder IS NOT NULL AND held_until > :latest_end);

-- name: next-submission
-- When there will be more to lease: the next retry, or the end of a lease.
SELECT min(at) FROM (
    SELECT * FROM (SELECT at FROM due
                    WHERE lane = 'submit' AND at > :now AND holder IS NULL
                    ORDER BY at LIMIT 1) AS free
    UNION ALL
    SELECT * FROM (SELECT held_until FROM due
                    WHERE lane = 'submit' AND holder IS NOT NULL AND held_until > :now
                    ORDER BY held_until LIMIT 1) AS leased) AS next;

-- name: list-holds
-- Each provider's recorded refusals.
SELECT provider, state FROM submission_holds WHERE state IS NOT NULL;

-- name: lock-hold
-- The same of one provider, locked for a change.
INSERT INTO submission_holds (provider, until) VALUES (:provider, 0)
    ON CONFLICT (provider) DO UPDATE SET until = submission_holds.until
RETURNING state;

-- name: change-hold
-- Replace a provider's recorded refusals.
UPDATE submission_holds SET until = :until, state = :state WHERE provider = :provider;
