-- name: read-key
-- A key that has not expired.
SELECT fingerprint, job_id, held_until, status_code, headers, body
  FROM idempotency_keys
 WHERE user_id = :user_id AND path = :path AND key = :key AND expires_at > :now;

-- name: write-key
-- A key with its first request. One that is there has expired, or it would have been found.
INSERT OR REPLACE INTO idempotency_keys
       (user_id, path, key, fingerprint, job_id, held_until, expires_at, status_code, headers, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: answer
-- Keep the first answer, and end the hold.
UPDATE idempotency_keys
   SET status_code = :status_code, headers = :headers, body = :body, held_until = NULL
 WHERE user_id = :user_id AND path = :path AND key = :key AND status_code IS NULL;

-- name: free
-- Forget a key.
DELETE FROM idempotency_keys WHERE user_id = :user_id AND path = :path AND key = :key;

-- name: free-by-job
-- Forget the key that made a job.
DELETE FROM idempotency_keys WHERE job_id = :job_id;

-- name: end-holds
-- End the holds of a process that is gone.
UPDATE idempotency_keys SET held_until = NULL WHERE held_until IS NOT NULL;

-- name: remove-expired
-- Forget keys that have expired.
DELETE FROM idempotency_keys
 WHERE rowid IN (SELECT rowid FROM idempotency_keys WHERE expires_at <= :now LIMIT :limit);
