-- Jobs can be told apart: the beginning of the prompt, on one line. Jobs from before have none.
ALTER TABLE jobs ADD COLUMN label TEXT;

-- For the list of users: the keys of each, which are counted there.
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at);
