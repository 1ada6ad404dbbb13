-- How many bytes of inputs and results, and of archived files, are stored for a user, and for each
-- of the user's jobs. Jobs of the previous release count nothing, and so take nothing away when they
-- are removed.
ALTER TABLE users ADD COLUMN stored_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN stored_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN archived_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN archived_bytes bigint NOT NULL DEFAULT 0;
