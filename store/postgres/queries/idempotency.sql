-- name: remove-expired
-- Remove expired keys. The condition is repeated outside the subquery, because the server checks
-- only that one again once a row is no longer locked by another process, which may have used the
-- key for a new job.
DELETE FROM idempotency_keys
 WHERE (user_id, path, key) IN (SELECT user_id, path, key FROM idempotency_keys
                                 WHERE expires_at <= :now
                                 LIMIT :limit)
   AND expires_at <= :now;
