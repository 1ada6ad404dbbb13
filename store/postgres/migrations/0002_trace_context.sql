-- The trace that a job was submitted in: a W3C `traceparent`, and a `tracestate` after a space. In no
-- view, since only tracing reads it: the release before this one, which may still run beside, reads
-- the views as they were.
ALTER TABLE jobs ADD COLUMN trace_context text;
