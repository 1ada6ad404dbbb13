-- name: lock-logs
-- Lock the logs that a batch appends to, in the same order in all processes.
SELECT id FROM users WHERE id = ANY (CAST(:users AS bigint[])) ORDER BY id FOR NO KEY UPDATE;

-- name: append-events
-- Append a batch's events to their users' logs. The user's row is locked from numbering to commit:
-- a reader that sees an event sees all earlier ones.
WITH fresh AS (
    SELECT * FROM unnest(
           CAST(:user_id AS bigint[]), CAST(:nonce AS text[]), CAST(:job_id AS text[]),
           CAST(:job_seq AS bigint[]), CAST(:at AS bigint[]), CAST(:data AS bytea[]))
      WITH ORDINALITY AS event (user_id, nonce, job_id, job_seq, at, data, n)),
counted AS (
    SELECT user_id, count(*) AS events, (array_agg(nonce ORDER BY n DESC))[1] AS nonce
      FROM fresh
     GROUP BY user_id),
moved AS (
    UPDATE users SET event_seq = event_seq + counted.events, event_nonce = counted.nonce
      FROM counted
     WHERE users.id = counted.user_id
    RETURNING users.id, users.event_seq - counted.events AS before)
INSERT INTO events (user_id, seq, nonce, job_id, job_seq, at, data)
SELECT fresh.user_id, moved.before + row_number() OVER (PARTITION BY fresh.user_id ORDER BY fresh.n),
       fresh.nonce, fresh.job_id, fresh.job_seq, fresh.at, fresh.data
  FROM fresh JOIN moved ON moved.id = fresh.user_id;
