-- name: lock-job
-- Lock the job of a delivery until the commit.
SELECT id FROM jobs
 WHERE id = (SELECT job_id FROM deliveries WHERE id = :delivery_id) {for_update};

-- name: skip-waiting
-- Skip the job's messages that a new one replaces: updates and provisional failures, except one
-- that is being sent now, or a requested retry that has not been attempted yet.
UPDATE deliveries
   SET state = 'skipped', next_attempt_at = NULL, holder = NULL, held_until = NULL
 WHERE job_id = :job_id AND state = 'pending' AND (NOT final OR self_declared) AND NOT retried
   AND (holder IS NULL OR held_until <= :now);

-- name: skip-replaced
-- Skip a job's provisional failure (`self_declared` in the table), because the job now
-- has its real outcome. A message that is being sent is skipped when its lease ends. One whose
-- retry was requested is not skipped.
UPDATE deliveries SET state = 'skipped', next_attempt_at = NULL
 WHERE job_id = :job_id AND state = 'pending' AND self_declared AND NOT retried
   AND holder IS NULL;

-- name: enqueue
-- A new message.
INSERT INTO deliveries (id, job_id, user_id, seq, status, final, self_declared, url, host, state,
                        created_at, next_attempt_at, body)
VALUES (:id, :job_id, :user_id, :seq, :status, :final, :provisional, :url, :host, :state,
        :created_at, :next_attempt_at, :body);

-- name: list-candidates
-- Messages that are due, in fair order, and behind them the first message of each user and host that
-- is not due yet; see due.sql. The last column says whether a message may go now: no other of its job
-- is in flight, and none goes before it; requested retries go out of that order.
WITH RECURSIVE walk (id, user_id, host, turn, n) AS (
    SELECT (SELECT id FROM deliveries
             WHERE state = 'pending' AND holder IS NULL
               AND (user_id, host) > (+CAST(:user_id AS bigint), CAST(:peer AS text) || '')
             ORDER BY user_id, host, next_attempt_at, id
             LIMIT 1),
           CAST(0 AS bigint), CAST('' AS text), 0, 1
     UNION ALL
    SELECT (SELECT d.id FROM deliveries d
             WHERE d.state = 'pending' AND d.holder IS NULL
               AND (d.user_id, d.host, d.next_attempt_at, d.id)
                   > (+here.user_id, here.host || '',
                      CASE WHEN here.next_attempt_at <= :now
                            AND (here.user_id <> walk.user_id OR here.host <> walk.host
                                 OR walk.turn + 1 < :share)
                           THEN here.next_attempt_at ELSE 9223372036854775807 END,
                      here.id || '')
             ORDER BY d.user_id, d.host, d.next_attempt_at, d.id
             LIMIT 1),
           here.user_id, here.host,
           CASE WHEN here.user_id = walk.user_id AND here.host = walk.host
                THEN walk.turn + 1 ELSE 1 END,
           walk.n + 1
      FROM walk CROSS JOIN deliveries here
     WHERE here.id = walk.id AND walk.n < :most)
SELECT walk.n, d.id, d.job_id, d.user_id, d.host, d.next_attempt_at,
       coalesce(in_flight.messages, 0)
       + row_number() OVER (PARTITION BY d.user_id ORDER BY d.next_attempt_at, d.id) AS rank,
       0,
       NOT EXISTS (SELECT 1 FROM deliveries other
                    WHERE other.job_id = d.job_id AND other.state = 'pending' AND other.id <> d.id
                      AND (other.holder IS NOT NULL
                           OR (NOT d.retried AND NOT other.retried AND other.seq < d.seq)))
  FROM walk CROSS JOIN deliveries d
  LEFT JOIN (SELECT +user_id AS user_id, count(*) AS messages FROM deliveries
              WHERE holder IS NOT NULL AND held_until > 0
              GROUP BY +user_id) AS in_flight
    ON in_flight.user_id = d.user_id
 WHERE d.id = walk.id
 ORDER BY d.next_attempt_at > :now, rank, d.next_attempt_at, d.id;

-- name: lease
-- Lease a message, unless another one of its job is in flight.
UPDATE deliveries SET holder = :holder, held_until = :until
 WHERE id = :delivery_id AND state = 'pending' AND holder IS NULL
   AND NOT EXISTS (SELECT 1 FROM deliveries other
                    WHERE other.job_id = deliveries.job_id AND other.state = 'pending'
                      AND other.holder IS NOT NULL)
RETURNING id;

-- name: list-ended
-- The messages whose leases have expired.
SELECT job_id, id FROM deliveries WHERE holder IS NOT NULL AND held_until <= :now;

-- name: end-lease
-- End a lease that has expired: its message can be leased again.
UPDATE deliveries SET holder = NULL, held_until = NULL
 WHERE id = :delivery_id AND held_until <= :now;

-- name: next-lease-end
-- When the first lease ends.
SELECT min(held_until) FROM deliveries WHERE holder IS NOT NULL;

-- name: skip-overtaken
-- Skip a message that was overtaken while it was being sent: an update by a newer message of its
-- job, or a provisional failure by the job's real outcome.
UPDATE deliveries
   SET state = 'skipped', next_attempt_at = NULL
 WHERE id = :delivery_id AND state = 'pending' AND NOT retried AND holder IS NULL
   AND (NOT final AND EXISTS (SELECT 1 FROM deliveries newer
                               WHERE newer.job_id = deliveries.job_id AND newer.state = 'pending'
                                 AND newer.seq > deliveries.seq)
        OR self_declared AND EXISTS (SELECT 1 FROM jobs
                                      WHERE jobs.id = deliveries.job_id
                                        AND jobs.seq > deliveries.seq));

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

-- name: read-delivery
-- One delivery of any user, with its attempts.
SELECT d.*, (SELECT name FROM users WHERE users.id = d.user_id),
       (SELECT source FROM jobs WHERE jobs.id = d.job_id)
  FROM delivery_rows d
 WHERE d.id = :delivery_id;

-- name: list-page
-- Those of the newest `most` candidates that fit, newest first; and the last candidate, if there
-- are `most`. `n` numbers the candidates. Only given filters are in the statement: with
-- `:state IS NULL OR …`, PostgreSQL's generic plan sorted all deliveries of a user.
SELECT page.n, page.fits, d.*, (SELECT name FROM users WHERE users.id = d.user_id),
       (SELECT source FROM jobs WHERE jobs.id = d.job_id)
  FROM (
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
