-- name: skip-waiting
-- What a new message of a job overtakes: updates, and failures that we declared ourselves, unless
-- one is being sent just now, or was asked for again and has not had its attempt.
UPDATE deliveries
   SET state = 'skipped', next_attempt_at = NULL, holder = NULL, held_until = NULL
 WHERE job_id = :job_id AND state = 'pending' AND (NOT final OR self_declared) AND NOT retried
   AND (holder IS NULL OR held_until <= :now);

-- name: enqueue
-- A new message.
INSERT INTO deliveries (id, job_id, user_id, seq, status, final, self_declared, url, host, state,
                        created_at, next_attempt_at, body)
VALUES (:id, :job_id, :user_id, :seq, :status, :final, :self_declared, :url, :host, :state,
        :created_at, :next_attempt_at, :body);

-- name: hold
-- Hold one message, unless another process was faster with it or with one of its job.
UPDATE deliveries SET holder = :holder, held_until = :until
 WHERE id = :delivery_id AND state = 'pending'
   AND NOT EXISTS (SELECT 1 FROM deliveries flying
                    WHERE flying.job_id = deliveries.job_id AND flying.state = 'pending'
                      AND flying.held_until > :now);

-- name: read-held
-- A message that has just been held; no row where another was faster.
SELECT * FROM delivery_rows
 WHERE id = :delivery_id
   AND EXISTS (SELECT 1 FROM deliveries d
                WHERE d.id = :delivery_id AND d.holder = :holder AND d.held_until = :until);

-- name: list-ended-holds
-- Messages whose holder has not come back in time.
SELECT id FROM deliveries WHERE holder IS NOT NULL AND held_until <= :now;

-- name: end-holds
-- End the holds of a process that is gone; the next to lease finds them as it finds any other that
-- has ended, and skips what was overtaken meanwhile.
UPDATE deliveries SET held_until = 0 WHERE holder IS NOT NULL AND held_until <> 0;

-- name: list-held
-- What somebody holds.
SELECT id FROM deliveries WHERE holder IS NOT NULL AND held_until IS NOT NULL AND holder = :holder;

-- name: let-go
-- Give a message back as it was, due at `at` where that is given.
UPDATE deliveries
   SET holder = NULL, held_until = NULL,
       next_attempt_at = coalesce(CAST(:at AS bigint), next_attempt_at)
 WHERE id = :delivery_id AND holder = :holder;

-- name: skip-overtaken
-- A message that was being sent when a newer one of its job came, and that may be skipped.
UPDATE deliveries
   SET state = 'skipped', next_attempt_at = NULL, holder = NULL, held_until = NULL
 WHERE id = :delivery_id AND state = 'pending' AND (NOT final OR self_declared) AND NOT retried
   AND EXISTS (SELECT 1 FROM deliveries newer
                WHERE newer.job_id = deliveries.job_id AND newer.state = 'pending'
                  AND newer.seq > deliveries.seq);

-- name: count-attempt
-- One attempt, numbered within its delivery; nothing where the delivery is gone.
INSERT INTO attempts (delivery_id, n, at, status_code, error, duration_ms, excerpt)
SELECT id, (SELECT coalesce(max(n), 0) + 1 FROM attempts WHERE delivery_id = :delivery_id),
       :at, CAST(:status_code AS bigint), CAST(:error AS text), :duration_ms,
       CAST(:excerpt AS text)
  FROM deliveries
 WHERE id = :delivery_id;

-- name: settle
-- What follows from an attempt, where its maker still holds the message.
UPDATE deliveries
   SET state = :state, next_attempt_at = :next_attempt_at, delivered_at = :delivered_at,
       step = step + 1, retried = FALSE, holder = NULL, held_until = NULL
 WHERE id = :delivery_id AND holder = :holder
RETURNING job_id;

-- name: turn-off
-- Send no more to the address of a job.
UPDATE jobs SET webhook_off = TRUE WHERE id = :job_id;

-- name: disable-waiting
-- What waits for an address that has been turned off.
UPDATE deliveries
   SET state = 'disabled', next_attempt_at = NULL, holder = NULL, held_until = NULL
 WHERE job_id = :job_id AND state = 'pending';

-- name: turn-on
-- Send to the address of a job again.
UPDATE jobs SET webhook_off = FALSE WHERE id = :job_id;

-- name: retry
-- Begin a delivery again, out of its job's order.
UPDATE deliveries
   SET state = 'pending', next_attempt_at = :now, delivered_at = NULL, step = 0, retried = TRUE
 WHERE id = :delivery_id AND state <> 'pending';

-- name: next-due
-- When there is something to give out next: what waits behind a message in flight does not count.
SELECT min(at) FROM (
    SELECT * FROM (SELECT d.next_attempt_at AS at FROM deliveries d
                    WHERE d.state = 'pending' AND NOT EXISTS (
                          SELECT 1 FROM deliveries flying
                           WHERE flying.job_id = d.job_id AND flying.state = 'pending'
                             AND flying.holder IS NOT NULL)
                    ORDER BY d.next_attempt_at LIMIT 1) AS free
    UNION ALL
    SELECT * FROM (SELECT held_until FROM deliveries
                    WHERE holder IS NOT NULL
                    ORDER BY held_until LIMIT 1) AS held) AS next;

-- name: read-delivery
-- One delivery with its attempts, whoever owns it.
SELECT * FROM delivery_rows
 WHERE id = :delivery_id;

-- name: read-delivery-of-user
-- One delivery of one user.
SELECT * FROM delivery_rows
 WHERE id = :delivery_id AND user_id = :user_id;

-- name: list-by-user
-- A user's deliveries, newest first.
SELECT * FROM delivery_rows
 WHERE user_id = :user_id AND id < :before
 ORDER BY id DESC
 LIMIT :limit;

-- name: list-by-state
-- The same in one state.
SELECT * FROM delivery_rows
 WHERE user_id = :user_id AND state = :state AND id < :before
 ORDER BY id DESC
 LIMIT :limit;

-- name: backlog
-- How many are pending, and when the oldest was written.
SELECT count(*), min(created_at) FROM deliveries WHERE state = 'pending';
