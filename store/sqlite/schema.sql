-- The schema of a new database. Times are whole milliseconds since the Unix epoch. The CHECKs enforce
-- invariants of the state machine again.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id                    INTEGER PRIMARY KEY,
    name                  TEXT NOT NULL UNIQUE,
    secret                TEXT NOT NULL,
    previous_secret       TEXT,
    previous_secret_until INTEGER,
    -- The user's event log: the number of events so far, the nonce of the latest (initially that of
    -- the origin), the nonce of position 0, and how far retention has removed events.
    event_seq             INTEGER NOT NULL DEFAULT 0,
    event_nonce           TEXT NOT NULL,
    origin_nonce          TEXT NOT NULL,
    events_removed        INTEGER NOT NULL DEFAULT 0,
    -- How many bytes of inputs and results, and of archived files, are stored for the user.
    stored_bytes          INTEGER NOT NULL DEFAULT 0,
    archived_bytes        INTEGER NOT NULL DEFAULT 0,
    CHECK (events_removed <= event_seq)
) STRICT;

CREATE TABLE api_keys (
    hash         TEXT PRIMARY KEY CHECK (length(hash) = 64),
    prefix       TEXT NOT NULL,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    admin        INTEGER NOT NULL CHECK (admin IN (0, 1)),
    created_at   INTEGER NOT NULL,
    revoked_at   INTEGER,
    -- The hour of the last use.
    last_used_at INTEGER,
    name         TEXT
) STRICT, WITHOUT ROWID;
-- For the list of users, which counts each user's keys.
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at);

CREATE TABLE jobs (
    id                  TEXT PRIMARY KEY,
    user_id             INTEGER NOT NULL REFERENCES users (id),
    provider            TEXT NOT NULL,
    kind                TEXT NOT NULL,
    status              TEXT NOT NULL
        CHECK (status IN ('PENDING', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED')),
    phase               TEXT NOT NULL
        CHECK (phase IN ('queued', 'submitting', 'submit_unconfirmed', 'accepted', 'rendering',
                         'confirming', 'finished')),
    seq                 INTEGER NOT NULL CHECK (seq >= 1),
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    progress            REAL CHECK (progress BETWEEN 0 AND 100),
    provider_status     TEXT,
    evidence            TEXT CHECK (evidence IN ('callback', 'poll', 'submit', 'deadline', 'user')),
    message             TEXT,
    result              TEXT,
    error_code          TEXT,
    error_message       TEXT,
    error_billed        INTEGER CHECK (error_billed IN (0, 1)),
    provider_request_id TEXT CHECK (length(provider_request_id) BETWEEN 1 AND 200),
    id_from_answer      INTEGER NOT NULL DEFAULT 0 CHECK (id_from_answer IN (0, 1)),
    done_at             INTEGER,
    accepted_at         INTEGER,
    unconfirmed_at      INTEGER,
    result_at           INTEGER,
    attempts            INTEGER NOT NULL DEFAULT 0,
    maybe_sent          INTEGER NOT NULL DEFAULT 0 CHECK (maybe_sent IN (0, 1)),
    refused_with        INTEGER,
    metadata            TEXT,
    webhook_url         TEXT,
    webhook_events      TEXT NOT NULL DEFAULT '',
    webhook_off         INTEGER NOT NULL DEFAULT 0 CHECK (webhook_off IN (0, 1)),
    tracking            TEXT,
    -- Tells jobs apart: the beginning of the prompt, on one line.
    label               TEXT,
    -- The job at its provider: the URLs in the answer to its submission, and whether the provider
    -- still has to be asked to cancel it. Both are kept after the job has ended.
    provider_urls       TEXT,
    cancel_wanted       INTEGER NOT NULL DEFAULT 0 CHECK (cancel_wanted IN (0, 1)),
    -- The result files, as JSON: each link and the state of its file. Pending files wait in `due`,
    -- in a lane of their own.
    archive             TEXT,
    -- The job's part of its user's bytes.
    stored_bytes        INTEGER NOT NULL DEFAULT 0,
    archived_bytes      INTEGER NOT NULL DEFAULT 0,
    -- By which API the job came, and what its provider said beside status and result: clients of
    -- the provider's own API read that.
    source              TEXT,
    details             TEXT,

    CHECK ((phase = 'finished') = (status IN ('COMPLETED', 'FAILED', 'CANCELLED'))),
    CHECK ((phase = 'finished') = (done_at IS NOT NULL)),
    CHECK (phase NOT IN ('queued', 'submitting', 'submit_unconfirmed', 'accepted')
           OR status = 'PENDING'),
    CHECK (phase <> 'rendering' OR status = 'IN_PROGRESS'),
    CHECK ((status = 'COMPLETED') = (result IS NOT NULL)),
    CHECK ((status = 'COMPLETED') = (progress IS 100.0)),
    CHECK ((status IN ('FAILED', 'CANCELLED')) = (error_code IS NOT NULL)),
    CHECK ((error_code IS NULL) = (error_message IS NULL)),
    CHECK ((error_code IS NULL) = (error_billed IS NULL)),
    CHECK (phase <> 'submit_unconfirmed' OR unconfirmed_at IS NOT NULL),
    CHECK (phase NOT IN ('accepted', 'rendering') OR accepted_at IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX jobs_by_provider_id ON jobs (provider_request_id, provider)
    WHERE provider_request_id IS NOT NULL;
-- created_at is in the lists' indexes so that a filter on it needs no access to the row.
CREATE INDEX jobs_by_user ON jobs (user_id, id, created_at);
CREATE INDEX jobs_by_status ON jobs (user_id, status, id, created_at);
CREATE INDEX jobs_by_kind ON jobs (user_id, kind, id, created_at);
CREATE INDEX jobs_by_provider ON jobs (user_id, provider, id, created_at);
-- The jobs in flight at a provider are counted by user.
CREATE INDEX jobs_unfinished ON jobs (phase, provider, created_at, user_id)
    WHERE phase <> 'finished';
CREATE INDEX jobs_unfinished_by_user ON jobs (user_id, id) WHERE phase <> 'finished';
CREATE INDEX jobs_by_end ON jobs (done_at) WHERE done_at IS NOT NULL;

-- A job's input: large, written once, read at its submission.
CREATE TABLE job_inputs (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    input  TEXT NOT NULL
) STRICT;

-- The whole results of jobs whose rows have truncated ones.
CREATE TABLE job_results (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    result TEXT NOT NULL
) STRICT;

CREATE TABLE job_metadata (
    user_id INTEGER NOT NULL,
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, name, value, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_metadata_by_job ON job_metadata (job_id);

-- One row per waiting job, kept small so that queries for due jobs stay fast.
CREATE TABLE due (
    job_id     TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    lane       TEXT NOT NULL
        CHECK (lane IN ('submit', 'submitting', 'wait', 'confirm', 'poll', 'archive')),
    at         INTEGER NOT NULL,
    holder     TEXT,
    held_until INTEGER,
    provider   TEXT NOT NULL DEFAULT '',
    user_id    INTEGER NOT NULL DEFAULT 0,
    -- A job keeps its priority whatever its lane: normal jobs go before batch jobs.
    batch      INTEGER NOT NULL DEFAULT 0 CHECK (batch IN (0, 1)),
    CHECK ((holder IS NULL) = (held_until IS NULL))
) STRICT, WITHOUT ROWID;
-- Each look at a lane takes users in turn, and walks along this index from row to row; the id at the
-- end makes each step unique.
CREATE INDEX due_by_turn ON due (lane, provider, user_id, batch, at, job_id) WHERE holder IS NULL;
CREATE INDEX due_held ON due (lane, held_until) WHERE holder IS NOT NULL;

CREATE TABLE events (
    user_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    nonce   TEXT NOT NULL,
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    job_seq INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    data    BLOB NOT NULL,
    PRIMARY KEY (user_id, seq)
) STRICT;
CREATE INDEX events_by_job ON events (job_id, seq);

-- The provider's callbacks. Large columns are last, so that the others are read without them. No
-- AUTOINCREMENT: it writes to one more table for each row, and is not needed, since a job with a claim,
-- which names its callback, is never removed.
CREATE TABLE callbacks (
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
CREATE UNIQUE INDEX callbacks_by_content ON callbacks (job_id, digest);

-- History entries that are not events.
CREATE TABLE notes (
    id     INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at     INTEGER NOT NULL,
    type   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX notes_by_job ON notes (job_id, id);

-- The outbox.
CREATE TABLE deliveries (
    id              TEXT PRIMARY KEY,
    job_id          TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    user_id         INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    status          TEXT NOT NULL,
    final           INTEGER NOT NULL CHECK (final IN (0, 1)),
    self_declared   INTEGER NOT NULL CHECK (self_declared IN (0, 1)),
    url             TEXT NOT NULL,
    host            TEXT NOT NULL,
    state           TEXT NOT NULL
        CHECK (state IN ('pending', 'delivered', 'skipped', 'exhausted', 'disabled')),
    step            INTEGER NOT NULL DEFAULT 0,
    -- Sent out of the job's order: an operator or the user requested a retry.
    retried         INTEGER NOT NULL DEFAULT 0 CHECK (retried IN (0, 1)),
    created_at      INTEGER NOT NULL,
    next_attempt_at INTEGER,
    delivered_at    INTEGER,
    holder          TEXT,
    held_until      INTEGER,
    body            BLOB NOT NULL,
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'delivered') = (delivered_at IS NOT NULL)),
    CHECK ((holder IS NULL) = (held_until IS NULL)),
    CHECK (holder IS NULL OR state = 'pending'),
    UNIQUE (job_id, seq)
) STRICT;
-- Due messages are read by user and then by host, so that a look can stop after some of a user's many
-- hosts and the other users need not wait.
CREATE INDEX deliveries_places ON deliveries (user_id, host, next_attempt_at, id)
    WHERE state = 'pending' AND holder IS NULL;
CREATE INDEX deliveries_pending ON deliveries (next_attempt_at, created_at)
    WHERE state = 'pending';
CREATE INDEX deliveries_pending_by_job ON deliveries (job_id, seq) WHERE state = 'pending';
CREATE INDEX deliveries_held ON deliveries (held_until) WHERE holder IS NOT NULL;
CREATE INDEX deliveries_by_user ON deliveries (user_id, id);
CREATE INDEX deliveries_by_state ON deliveries (user_id, state, id);
-- For lists by host. Without its port, `hooks.example:443` is `hooks.example:`.
CREATE INDEX deliveries_by_host ON deliveries (user_id, rtrim(host, '0123456789'), id);
-- For lists of all users' deliveries: only a few are in these states.
CREATE INDEX deliveries_unfinished ON deliveries (state, id)
    WHERE state NOT IN ('delivered', 'skipped');

CREATE TABLE attempts (
    delivery_id TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    n           INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    status_code INTEGER,
    error       TEXT,
    duration_ms INTEGER NOT NULL,
    excerpt     TEXT,
    PRIMARY KEY (delivery_id, n)
) STRICT, WITHOUT ROWID;

-- Deliveries as read by all queries, with the attempts as one JSON array of arrays.
CREATE VIEW delivery_rows AS
SELECT id, job_id, user_id, status, seq, state, url, host, body, step, created_at, next_attempt_at,
       delivered_at,
       (SELECT json_group_array(json_array(at, status_code, error, duration_ms, excerpt))
          FROM (SELECT * FROM attempts WHERE delivery_id = deliveries.id ORDER BY n)) AS attempts
  FROM deliveries;

-- No reference to jobs, because keys outlive them.
CREATE TABLE idempotency_keys (
    user_id     INTEGER NOT NULL REFERENCES users (id),
    path        TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    job_id      TEXT NOT NULL,
    held_until  INTEGER,
    expires_at  INTEGER NOT NULL,
    status_code INTEGER,
    headers     TEXT,
    body        BLOB,
    CHECK ((status_code IS NULL) = (headers IS NULL)),
    CHECK ((status_code IS NULL) = (body IS NULL)),
    CHECK (status_code IS NULL OR held_until IS NULL),
    PRIMARY KEY (user_id, path, key)
) STRICT;
CREATE INDEX idempotency_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_by_job ON idempotency_keys (job_id);
CREATE INDEX idempotency_held ON idempotency_keys (held_until) WHERE held_until IS NOT NULL;

-- Removed jobs with archived files; a row is deleted when its files are.
CREATE TABLE archive_removals (
    job_id    TEXT PRIMARY KEY,
    user_name TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What jobs with a price cost. An entry outlives its job. Amounts are decimals as text: SQLite has no
-- exact type that holds them all.
CREATE TABLE ledger (
    job_id     TEXT PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    provider   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    metadata   TEXT,
    created_at INTEGER NOT NULL,
    currency   TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('reserved', 'settled', 'released', 'unknown')),
    amount     TEXT NOT NULL,
    reserved   TEXT NOT NULL,
    rates      TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_by_user ON ledger (user_id, created_at, currency);
CREATE INDEX ledger_by_time ON ledger (created_at);

-- What a user may spend, as text such as 50/day, and what was spent since the beginning of the
-- period that was counted last.
CREATE TABLE budgets (
    user_id  INTEGER PRIMARY KEY REFERENCES users (id),
    budget   TEXT NOT NULL,
    currency TEXT,
    starts   INTEGER,
    spent    TEXT
) STRICT;

-- Jobs as read by all queries: the row, its owner's name, what it waits for, and what it costs.
CREATE VIEW stored_jobs AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking, j.provider_urls, j.cancel_wanted, j.archive,
       d.lane, d.at AS due_at, d.holder, j.label, j.source, j.details,
       l.state AS cost_state, l.amount, l.reserved, l.rates, l.currency
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id
  LEFT JOIN ledger l ON l.job_id = j.id;
