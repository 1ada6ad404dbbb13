-- What tells keys apart: a name, and the hour of the last use.
LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE;
ALTER TABLE api_keys ADD COLUMN name text, ADD COLUMN last_used_at bigint;
