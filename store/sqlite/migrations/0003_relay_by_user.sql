-- The relay looks for due messages by user and then by host, so that it can stop after some of a
-- user's many hosts and the other users need not wait.
CREATE INDEX deliveries_places ON deliveries (user_id, host, next_attempt_at)
    WHERE state = 'pending';
DROP INDEX deliveries_due;

-- For lists by host. Without its port, `hooks.example:443` is `hooks.example:`.
CREATE INDEX deliveries_by_host ON deliveries (rtrim(host, '0123456789'), id, user_id);
-- For lists of all users' deliveries: only a few are in these states.
CREATE INDEX deliveries_unfinished ON deliveries (state, id)
    WHERE state NOT IN ('delivered', 'skipped');
