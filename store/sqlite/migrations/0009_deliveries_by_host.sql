-- A user's deliveries to a host have an index of their own, whatever others send there.
DROP INDEX deliveries_by_host;
CREATE INDEX deliveries_by_host ON deliveries (user_id, rtrim(host, '0123456789'), id);
