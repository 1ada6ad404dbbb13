-- name: take-positions
-- Allocate the next positions in a user's log; returns the last one.
UPDATE users SET event_seq = event_seq + :count, event_nonce = :nonce WHERE id = :user_id
RETURNING event_seq;

-- name: append-event
-- Append an event at its position. Run for many at once.
INSERT INTO events (user_id, seq, nonce, job_id, job_seq, at, data)
VALUES (:user_id, :seq, :nonce, :job_id, :job_seq, :at, :data);
