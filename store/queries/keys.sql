-- name: add-user
-- Add a user, unless the name exists.
INSERT INTO users (name, secret, event_nonce, origin_nonce)
VALUES (:name, :secret, :nonce, :nonce)
    ON CONFLICT (name) DO NOTHING;

-- name: add-key
-- Add a key.
INSERT INTO api_keys (hash, prefix, user_id, admin, created_at, revoked_at, name)
VALUES (:hash, :prefix, :user_id, :admin, :created_at, :revoked_at, :name);

-- name: read-key
-- A key by its hash, with its user's name.
SELECT k.hash, k.prefix, k.user_id, u.name, k.admin, k.created_at, k.revoked_at,
       k.name, k.last_used_at
  FROM api_keys k JOIN users u ON u.id = k.user_id
 WHERE k.hash = :hash;

-- name: list-active
-- Those of the listed hashes whose keys are not revoked.
SELECT hash FROM api_keys WHERE revoked_at IS NULL AND hash IN ({listed_hashes});

-- name: list-keys
-- Keys older than the one with the hash `before` (all if there is none), newest first. With a join
-- SQLite would read them by user.
SELECT k.hash, k.prefix, k.user_id, (SELECT name FROM users WHERE users.id = k.user_id), k.admin,
       k.created_at, k.revoked_at, k.name, k.last_used_at
  FROM api_keys k
 WHERE NOT EXISTS (SELECT 1 FROM api_keys b
                    WHERE b.hash = :before
                      AND (b.created_at, b.hash) <= (k.created_at, k.hash))
 ORDER BY k.created_at DESC, k.hash DESC
 LIMIT :limit;

-- name: list-keys-by-prefix
-- Active keys with a prefix.
SELECT k.hash, k.prefix, k.user_id, u.name, k.admin, k.created_at, k.revoked_at,
       k.name, k.last_used_at
  FROM api_keys k JOIN users u ON u.id = k.user_id
 WHERE substr(k.prefix, 1, length(CAST(:prefix AS text))) = :prefix AND k.revoked_at IS NULL
 ORDER BY k.created_at, k.hash;

-- name: revoke-key
-- Revoke a key.
UPDATE api_keys SET revoked_at = :now WHERE hash = :hash;

-- name: note-use
-- Note the hour in which keys were used last.
UPDATE api_keys SET last_used_at = :hour
 WHERE hash IN ({listed_hashes}) AND coalesce(last_used_at, 0) < :hour;

-- name: rotate-secret
-- Set a new secret; the previous one also signs for a while.
UPDATE users
   SET previous_secret = secret, previous_secret_until = :old_until, secret = :secret
 WHERE name = :name;

-- name: read-user
-- A user by id.
SELECT id, name, secret, previous_secret, previous_secret_until FROM users WHERE id = :user_id;

-- name: read-user-by-name
-- A user by name.
SELECT id, name, secret, previous_secret, previous_secret_until FROM users WHERE name = :name;

-- name: list-users
-- Users by name, with counts of their keys and jobs. Each count uses an index by user.
SELECT u.name,
       (SELECT min(k.created_at) FROM api_keys k WHERE k.user_id = u.id),
       (SELECT count(*) FROM api_keys k WHERE k.user_id = u.id AND k.revoked_at IS NULL),
       (SELECT count(*) FROM jobs j {unfinished_by_user}
         WHERE j.user_id = u.id AND j.phase <> 'finished')
  FROM users u
 WHERE u.name > :after
 ORDER BY u.name
 LIMIT :limit;
