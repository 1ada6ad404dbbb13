-- A list of a user's deliveries to a host must not read those of other users to the same host.
DROP INDEX deliveries_by_host;
CREATE INDEX deliveries_by_host ON deliveries (user_id, rtrim(host, '0123456789'), id);
