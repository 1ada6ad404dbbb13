-- name: list-holds
-- Each provider's recorded refusals.
SELECT provider, state FROM submission_holds WHERE state IS NOT NULL;

-- name: lock-hold
-- One provider's recorded refusals, locked for a change.
INSERT INTO submission_holds (provider, until) VALUES (:provider, 0)
    ON CONFLICT (provider) DO UPDATE SET until = submission_holds.until
RETURNING state;

-- name: change-hold
-- Replace a provider's recorded refusals.
UPDATE submission_holds SET until = :until, state = :state WHERE provider = :provider;
