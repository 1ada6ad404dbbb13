-- Submissions are round-robin by user: due rows have the user and provider, so that the next job of
-- each user is found without reading the others' backlogs. The previous release, which may still be
-- running, writes rows without them: these count as one user's, of no provider.
ALTER TABLE due ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE due ADD COLUMN user_id INTEGER NOT NULL DEFAULT 0;
UPDATE due SET (provider, user_id) = (SELECT provider, user_id FROM jobs WHERE id = due.job_id);
CREATE INDEX due_submissions ON due (provider, user_id, at)
    WHERE lane = 'submit' AND holder IS NULL;

-- A provider's recorded refusals, as JSON. `until` keeps its meaning for the previous release: the
-- end of the hold on all users. This release reads only `state`.
ALTER TABLE submission_holds ADD COLUMN state TEXT;
