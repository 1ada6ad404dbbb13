-- name: read-key
-- A key that has not expired.
SELECT fingerprint, job_id, held_until, status_code, headers, body
  FROM idempotency_keys
 WHERE user_id = :user_id AND path = :path AND key = :key AND expires_at > :sent_at;

-- name: write-key
-- Insert a key with its first request; no row if it exists and has not expired.
INSERT INTO idempotency_keys (user_id, path, key, fingerprint, job_id, held_until, expires_at,
                              status_code, headers, body)
VALUES (:user_id, :path, :key, :fingerprint, :job_id, :in_use_until, :expires_at,
        :status_code, :headers, :body)
    ON CONFLICT (user_id, path, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, job_id = excluded.job_id,
       held_until = excluded.held_until, expires_at = excluded.expires_at,
       status_code = excluded.status_code, headers = excluded.headers, body = excluded.body
 WHERE idempotency_keys.expires_at <= :sent_at
RETURNING job_id;

-- name: store-response
-- Store the response to the request that created a job; its key is then no longer in use.
UPDATE idempotency_keys
   SET status_code = :status_code, headers = :headers, body = :body, held_until = NULL
 WHERE job_id = :job_id AND status_code IS NULL;

-- name: free-by-job
-- Remove the key that created a job.
DELETE FROM idempotency_keys WHERE job_id = :job_id;
