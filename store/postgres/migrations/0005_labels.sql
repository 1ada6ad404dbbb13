-- A label tells jobs apart: the beginning of the prompt, on one line. Older jobs have none.
-- Its collation makes lower() change only ASCII letters, as SQLite's does.
ALTER TABLE jobs ADD COLUMN label text COLLATE "C";

-- For the list of users, which counts each user's keys.
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at);
