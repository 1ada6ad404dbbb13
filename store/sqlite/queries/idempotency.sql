-- name: remove-expired
-- Remove expired keys.
DELETE FROM idempotency_keys
 WHERE (user_id, path, key) IN (SELECT user_id, path, key FROM idempotency_keys
                                 WHERE expires_at <= :now
                                 LIMIT :limit);
