-- Downloads are round-robin by user, like submissions: one index serves both lanes.
DROP INDEX due_submissions;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, at)
    WHERE lane IN ('submit', 'archive') AND holder IS NULL;
