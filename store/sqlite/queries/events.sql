-- name: take-places
-- The next places in a user's log: the last of them.
UPDATE users SET event_seq = event_seq + :count, event_nonce = :nonce WHERE id = :user_id
RETURNING event_seq;

-- name: append-event
-- An event at its place. Run for many at once.
INSERT INTO events (user_id, seq, nonce, job_id, job_seq, at, data)
VALUES (:user_id, :seq, :nonce, :job_id, :job_seq, :at, :data);
