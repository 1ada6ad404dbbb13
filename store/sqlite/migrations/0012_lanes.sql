-- Looks at a lane walk along an index from row to row; the id at the end makes each step unique.
DROP INDEX due_by_turn;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, at, job_id) WHERE holder IS NULL;
DROP INDEX deliveries_places;
CREATE INDEX deliveries_places ON deliveries (user_id, host, next_attempt_at, id)
    WHERE state = 'pending' AND holder IS NULL;
-- The table submission_holds is not used any more. It stays for replicas of the previous release.
