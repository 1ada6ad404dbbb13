-- Users take turns in downloads as in submissions: one index serves both lanes.
DROP INDEX due_submissions;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, at)
    WHERE lane IN ('submit', 'archive') AND holder IS NULL;
