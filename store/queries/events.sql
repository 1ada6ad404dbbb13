-- name: snapshot-of-job
-- A job, and the position of its user's latest event, in one snapshot.
SELECT u.event_seq, u.event_nonce, j.*
  FROM stored_jobs j JOIN users u ON u.id = j.user_id
 WHERE j.id = :job_id;

-- name: snapshot-of-user
-- A user's newest unfinished jobs, unordered, and the position of the latest event, in one
-- snapshot. For a user without such jobs, one row with NULLs.
SELECT u.event_seq, u.event_nonce, j.*
  FROM users u
  LEFT JOIN (SELECT * FROM stored_jobs
              WHERE user_id = :user_id AND phase <> 'finished'
              ORDER BY id DESC
              LIMIT :limit) j ON TRUE
 WHERE u.id = :user_id;

-- name: find-cursor
-- How far a user's log has been removed; no row if the cursor is not from this log. The cursor may
-- be at the log's origin or end, or at a kept event.
SELECT u.events_removed FROM users u
 WHERE u.id = :user_id
   AND ((:seq = 0 AND u.origin_nonce = :nonce)
        OR (u.event_seq = :seq AND u.event_nonce = :nonce)
        OR EXISTS (SELECT 1 FROM events e
                    WHERE e.user_id = u.id AND e.seq = :seq AND e.nonce = :nonce));

-- name: events-after
-- A job's or a user's events after a position, up to the one with which they reach `bytes`.
SELECT seq, nonce, job_id, at, data FROM events
 WHERE {whose} AND seq > :seq AND seq <= (
       SELECT max(seq) FROM (
              SELECT seq, sum(size) OVER (ORDER BY seq) - size AS before FROM (
                     SELECT seq, length(data) AS size FROM events
                      WHERE {whose} AND seq > :seq
                      ORDER BY seq
                      LIMIT :limit) AS page) AS sums
        WHERE before < :bytes)
 ORDER BY seq;

-- name: read-ends
-- The ends of some users' logs.
SELECT id, event_seq, event_nonce FROM users WHERE id IN ({listed_users});

-- name: take-position
-- Allocate the next position in a user's log, which is locked until the commit, and count what is
-- stored with the event.
UPDATE users
   SET event_seq = event_seq + 1, event_nonce = :nonce, stored_bytes = stored_bytes + :stored
 WHERE id = :user_id
RETURNING event_seq, stored_bytes;

-- name: append-event
-- Append an event at its position.
INSERT INTO events (user_id, seq, nonce, job_id, job_seq, at, data)
VALUES (:user_id, :seq, :nonce, :job_id, :job_seq, :at, :data);

-- name: mark-removed
-- Record how far retention has removed a user's events, and the bytes that this freed.
UPDATE users
   SET events_removed = CASE WHEN events_removed < :seq THEN :seq ELSE events_removed END,
       stored_bytes = stored_bytes - :freed, archived_bytes = archived_bytes - :unarchived
 WHERE id = :user_id;
