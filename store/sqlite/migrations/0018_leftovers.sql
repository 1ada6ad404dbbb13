-- Removes what only 1.x used. A callback that it left unapplied stays in the history.
UPDATE callbacks SET verdict = 'failed' WHERE verdict = 'waiting';

CREATE TABLE callbacks_now (
    id          INTEGER PRIMARY KEY,
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    provider    TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    verdict     TEXT NOT NULL
        CHECK (verdict IN ('applied', 'claimed', 'confirmed', 'denied', 'late', 'conflict',
                           'rejected', 'failed')),
    confirmed   INTEGER CHECK (confirmed IN (0, 1)),
    evidence    TEXT CHECK (evidence IN ('callback', 'poll', 'submit', 'deadline', 'user')),
    -- Whether it had a valid signature; always false for a provider that does not sign.
    verified    INTEGER NOT NULL DEFAULT 0 CHECK (verified IN (0, 1)),
    headers     TEXT NOT NULL,
    body        BLOB NOT NULL
) STRICT;
INSERT INTO callbacks_now (id, job_id, provider, received_at, digest, verdict, confirmed, evidence, verified,
                           headers, body)
SELECT id, job_id, provider, received_at, digest, verdict, confirmed, evidence, verified, headers, body
  FROM callbacks
 ORDER BY id;
DROP TABLE callbacks;
ALTER TABLE callbacks_now RENAME TO callbacks;
CREATE UNIQUE INDEX callbacks_by_content ON callbacks (job_id, digest);

ALTER TABLE jobs DROP COLUMN trace_context;
DROP TABLE removed_events;
DROP TABLE submission_holds;
