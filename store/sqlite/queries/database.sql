-- name: mark-copy
-- Say of a copy that it is one.
INSERT INTO meta (key, value) VALUES ('copy', '1') ON CONFLICT DO NOTHING;
