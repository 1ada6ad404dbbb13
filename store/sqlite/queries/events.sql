-- name: take-place
-- The next place in a user's log.
UPDATE users SET event_seq = event_seq + 1, event_nonce = :nonce WHERE id = :user_id
RETURNING event_seq;

-- name: append-event
-- An event at its place.
INSERT INTO events (user_id, seq, nonce, job_id, job_seq, at, data)
VALUES (:user_id, :seq, :nonce, :job_id, :job_seq, :at, :data);
