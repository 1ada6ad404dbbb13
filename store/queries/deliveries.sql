-- name: lock-job
-- Lock the job of a delivery until the commit.
SELECT id FROM jobs
 WHERE id = (SELECT job_id FROM deliveries WHERE id = :delivery_id) {for_update};

-- name: skip-waiting
-- Skip the job's messages that a new one replaces: updates and self-declared failures, except one
-- that is being sent now, or a requested retry that has not been attempted yet.
UPDATE deliveries
   SET state = 'skipped', next_attempt_at = NULL, holder = NULL, held_until = NULL
 WHERE job_id = :job_id AND state = 'pending' AND (NOT final OR self_declared) AND NOT retried
   AND (holder IS NULL OR held_until <= :now);

-- name: skip-replaced
-- Skip a job's self-declared failure, because the job now has its real outcome. A message that is
-- being sent is skipped when its lease ends. One whose retry was requested is not skipped.
UPDATE deliveries SET state = 'skipped', next_attempt_at = NULL
 WHERE job_id = :job_id AND state = 'pending' AND self_declared AND NOT retried
   AND holder IS NULL;

-- name: enqueue
-- A new message.
INSERT INTO deliveries (id, job_id, user_id, seq, status, final, self_declared, url, host, state,
                        created_at, next_attempt_at, body)
VALUES (:id, :job_id, :user_id, :seq, :status, :final, :self_declared, :url, :host, :state,
        :created_at, :next_attempt_at, :body);

-- name: lease
-- Lease one message, unless it or another message of its job is leased already.
UPDATE deliveries SET holder = :holder, held_until = :until
 WHERE id = :delivery_id AND state = 'pending'
   AND NOT EXISTS (SELECT 1 FROM deliveries in_flight
                    WHERE in_flight.job_id = deliveries.job_id AND in_flight.state = 'pending'
                      AND in_flight.held_until > :now AND in_flight.held_until <= :latest_end);

-- name: read-leased
-- A message that has just been leased; no row if another process was faster.
SELECT d.*, (SELECT name FROM users WHERE users.id = d.user_id) FROM delivery_rows d
 WHERE d.id = :delivery_id
   AND EXISTS (SELECT 1 FROM deliveries h
                WHERE h.id = :delivery_id AND h.holder = :holder AND h.held_until = :until);

-- name: list-ended-leases
-- Messages whose lease has expired, or was taken before the clock was set back.
SELECT id FROM deliveries WHERE holder IS NOT NULL AND held_until <= :now
UNION ALL
SELECT id FROM deliveries WHERE holder IS NOT NULL AND held_until > :latest_end;

-- name: release
-- Release a holder's messages unchanged. The first two conditions only let SQLite search the
-- partial index of leases, which it would scan otherwise.
UPDATE deliveries SET holder = NULL, held_until = NULL
 WHERE holder IS NOT NULL AND held_until IS NOT NULL AND holder = :holder
RETURNING id;

-- name: record-attempt
-- Record an attempt, numbered within its delivery; nothing if the delivery is gone.
INSERT INTO attempts (delivery_id, n, at, status_code, error, duration_ms, excerpt)
SELECT id, (SELECT coalesce(max(n), 0) + 1 FROM attempts WHERE delivery_id = :delivery_id),
       :at, CAST(:status_code AS bigint), CAST(:error AS text), :duration_ms,
       CAST(:excerpt AS text)
  FROM deliveries
 WHERE id = :delivery_id
RETURNING n;

-- name: forget-attempts
-- Remove the attempts up to number `n`.
DELETE FROM attempts WHERE delivery_id = :delivery_id AND n <= :n;

-- name: settle
-- Set the state after an attempt, if its lease has not been lost.
UPDATE deliveries
   SET state = :state, next_attempt_at = :next_attempt_at, delivered_at = :delivered_at,
       step = step + 1, retried = FALSE, holder = NULL, held_until = NULL
 WHERE id = :delivery_id AND holder = :holder
RETURNING job_id;

-- name: turn-off
-- Send nothing more to a job's webhook URL.
UPDATE jobs SET webhook_off = TRUE WHERE id = :job_id;

-- name: disable-waiting
-- Disable pending messages to a URL that was turned off.
UPDATE deliveries
   SET state = 'disabled', next_attempt_at = NULL, holder = NULL, held_until = NULL
 WHERE job_id = :job_id AND state = 'pending';

-- name: turn-on
-- Send to the webhook URL of a delivery's job again, if the delivery was disabled.
UPDATE jobs SET webhook_off = FALSE
 WHERE webhook_off AND id = (SELECT job_id FROM deliveries
                              WHERE deliveries.id = :delivery_id AND state = 'disabled');

-- name: retry
-- Restart a delivery in the given state: a pending one in its job's order, any other out of it.
UPDATE deliveries
   SET state = 'pending', next_attempt_at = :now, delivered_at = NULL, step = 0,
       retried = retried OR state <> 'pending'
 WHERE id = :delivery_id AND state = :state;

-- name: next-due
-- When the next message can be leased. Messages behind one in flight do not count.
SELECT min(at) FROM (
    SELECT * FROM (SELECT d.next_attempt_at AS at FROM deliveries d
                    WHERE d.state = 'pending' AND d.job_id NOT IN (
                          SELECT job_id FROM deliveries WHERE holder IS NOT NULL)
                    ORDER BY d.next_attempt_at LIMIT 1) AS free
    UNION ALL
    SELECT * FROM (SELECT held_until FROM deliveries
                    WHERE holder IS NOT NULL
                    ORDER BY held_until LIMIT 1) AS leased) AS next;

-- name: read-delivery
-- One delivery of any user, with its attempts.
SELECT d.*, (SELECT name FROM users WHERE users.id = d.user_id) FROM delivery_rows d
 WHERE d.id = :delivery_id;

-- name: list-page
-- Those of the newest `most` candidates that fit, newest first; and the last candidate, if there
-- are `most`. `n` numbers the candidates. Only given filters are in the statement: with
-- `:state IS NULL OR …`, PostgreSQL's generic plan sorted all deliveries of a user.
SELECT page.n, page.fits, d.*, (SELECT name FROM users WHERE users.id = d.user_id) FROM (
    SELECT id, n, fits FROM (
        SELECT id, row_number() OVER (ORDER BY id DESC) AS n, {fits} AS fits
          FROM (SELECT id, user_id, state, job_id, host FROM deliveries
                 WHERE {candidates} AND id < :before
                 ORDER BY id DESC
                 LIMIT :most) AS candidate) AS numbered
     WHERE fits OR n = :most
     ORDER BY n
     LIMIT :limit) AS page
 CROSS JOIN delivery_rows d
 WHERE d.id = page.id
 ORDER BY page.n;

-- name: backlog
-- The number of pending deliveries, and when the oldest was written.
SELECT count(*), min(created_at) FROM deliveries WHERE state = 'pending';
