-- The trace that a job was submitted in: a W3C `traceparent`, and a `tracestate` after a space. Not
-- in the views: only tracing reads it, and the previous release, which may still be running,
-- expects the views unchanged.
ALTER TABLE jobs ADD COLUMN trace_context text;
