-- What waits for a place at its provider: normal jobs before batch jobs. A due row keeps its priority
-- whatever its lane; rows of the previous release are normal.
LOCK TABLE jobs, due IN ACCESS EXCLUSIVE MODE;
ALTER TABLE due ADD COLUMN batch smallint NOT NULL DEFAULT 0 CHECK (batch IN (0, 1));
DROP INDEX due_by_turn;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, batch, at, job_id) WHERE holder IS NULL;

-- The jobs in flight at a provider are counted by user.
DROP INDEX jobs_unfinished;
CREATE INDEX jobs_unfinished ON jobs (phase, provider, created_at, user_id)
    WHERE phase <> 'finished';
