-- The schema of a new database, in step with SQLite's. Times are whole milliseconds since the Unix
-- epoch. The CHECKs enforce invariants of the state machine again. Ids are ordered by bytes for paging;
-- a language's collation would order them differently.

CREATE TABLE meta (
    key   text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE users (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                  text NOT NULL UNIQUE,
    secret                text NOT NULL,
    previous_secret       text,
    previous_secret_until bigint,
    -- The user's event log: the number of events so far, the nonce of the latest (initially that of
    -- the origin), the nonce of position 0, and how far retention has removed events.
    event_seq             bigint NOT NULL DEFAULT 0,
    event_nonce           text NOT NULL,
    origin_nonce          text NOT NULL,
    events_removed        bigint NOT NULL DEFAULT 0,
    -- How many bytes of inputs and results, and of archived files, are stored for the user.
    stored_bytes          bigint NOT NULL DEFAULT 0,
    archived_bytes        bigint NOT NULL DEFAULT 0,
    CHECK (events_removed <= event_seq)
);

CREATE TABLE api_keys (
    hash         text PRIMARY KEY CHECK (length(hash) = 64),
    prefix       text NOT NULL,
    user_id      bigint NOT NULL REFERENCES users (id),
    admin        boolean NOT NULL,
    created_at   bigint NOT NULL,
    revoked_at   bigint,
    -- The hour of the last use.
    last_used_at bigint,
    name         text
);
-- For the list of users, which counts each user's keys.
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at);

CREATE TABLE jobs (
    id                  text COLLATE "C" PRIMARY KEY,
    user_id             bigint NOT NULL REFERENCES users (id),
    provider            text NOT NULL,
    kind                text NOT NULL,
    status              text NOT NULL
        CHECK (status IN ('PENDING', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED')),
    phase               text NOT NULL
        CHECK (phase IN ('queued', 'submitting', 'submit_unconfirmed', 'accepted', 'rendering',
                         'confirming', 'finished')),
    seq                 bigint NOT NULL CHECK (seq >= 1),
    created_at          bigint NOT NULL,
    updated_at          bigint NOT NULL,
    progress            double precision CHECK (progress BETWEEN 0 AND 100),
    provider_status     text,
    evidence            text CHECK (evidence IN ('callback', 'poll', 'submit', 'deadline', 'user')),
    message             text,
    result              text,
    error_code          text,
    error_message       text,
    error_billed        boolean,
    provider_request_id text CHECK (length(provider_request_id) BETWEEN 1 AND 200),
    id_from_answer      boolean NOT NULL DEFAULT FALSE,
    done_at             bigint,
    accepted_at         bigint,
    unconfirmed_at      bigint,
    result_at           bigint,
    attempts            bigint NOT NULL DEFAULT 0,
    maybe_sent          boolean NOT NULL DEFAULT FALSE,
    refused_with        bigint,
    metadata            text,
    webhook_url         text,
    webhook_events      text NOT NULL DEFAULT '',
    webhook_off         boolean NOT NULL DEFAULT FALSE,
    tracking            text,
    -- Tells jobs apart: the beginning of the prompt, on one line. Its collation makes lower() change
    -- only ASCII letters, as SQLite's does.
    label               text COLLATE "C",
    -- The job at its provider: the URLs in the answer to its submission, and whether the provider
    -- still has to be asked to cancel it. Both are kept after the job has ended.
    provider_urls       text,
    cancel_wanted       boolean NOT NULL DEFAULT FALSE,
    -- The result files, as JSON: each link and the state of its file. Pending files wait in `due`,
    -- in a lane of their own.
    archive             text,
    -- The job's part of its user's bytes.
    stored_bytes        bigint NOT NULL DEFAULT 0,
    archived_bytes      bigint NOT NULL DEFAULT 0,
    -- By which API the job came, and what its provider said beside status and result: clients of
    -- the provider's own API read that.
    source              text,
    details             text,

    CHECK ((phase = 'finished') = (status IN ('COMPLETED', 'FAILED', 'CANCELLED'))),
    CHECK ((phase = 'finished') = (done_at IS NOT NULL)),
    CHECK (phase NOT IN ('queued', 'submitting', 'submit_unconfirmed', 'accepted')
           OR status = 'PENDING'),
    CHECK (phase <> 'rendering' OR status = 'IN_PROGRESS'),
    CHECK ((status = 'COMPLETED') = (result IS NOT NULL)),
    CHECK ((status = 'COMPLETED') = (progress IS NOT DISTINCT FROM 100)),
    CHECK ((status IN ('FAILED', 'CANCELLED')) = (error_code IS NOT NULL)),
    CHECK ((error_code IS NULL) = (error_message IS NULL)),
    CHECK ((error_code IS NULL) = (error_billed IS NULL)),
    CHECK (phase <> 'submit_unconfirmed' OR unconfirmed_at IS NOT NULL),
    CHECK (phase NOT IN ('accepted', 'rendering') OR accepted_at IS NOT NULL)
);

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
    job_id text COLLATE "C" PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    input  text NOT NULL
);

-- The whole results of jobs whose rows have truncated ones.
CREATE TABLE job_results (
    job_id text COLLATE "C" PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    result text NOT NULL
);

CREATE TABLE job_metadata (
    user_id bigint NOT NULL,
    name    text NOT NULL,
    value   text NOT NULL,
    job_id  text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, name, value, job_id)
);
CREATE INDEX job_metadata_by_job ON job_metadata (job_id);

-- One row per waiting job, kept small so that queries for due jobs stay fast.
CREATE TABLE due (
    job_id     text COLLATE "C" PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    lane       text NOT NULL
        CHECK (lane IN ('submit', 'submitting', 'wait', 'confirm', 'poll', 'archive')),
    at         bigint NOT NULL,
    holder     text,
    held_until bigint,
    provider   text NOT NULL DEFAULT '',
    user_id    bigint NOT NULL DEFAULT 0,
    -- A job keeps its priority whatever its lane: normal jobs go before batch jobs.
    batch      smallint NOT NULL DEFAULT 0 CHECK (batch IN (0, 1)),
    CHECK ((holder IS NULL) = (held_until IS NULL))
);
-- Each look at a lane takes users in turn, and walks along this index from row to row; the id at the
-- end makes each step unique.
CREATE INDEX due_by_turn ON due (lane, provider, user_id, batch, at, job_id) WHERE holder IS NULL;
CREATE INDEX due_held ON due (lane, held_until) WHERE holder IS NOT NULL;

CREATE TABLE events (
    user_id bigint NOT NULL,
    seq     bigint NOT NULL,
    nonce   text NOT NULL,
    job_id  text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    job_seq bigint NOT NULL,
    at      bigint NOT NULL,
    data    bytea NOT NULL,
    PRIMARY KEY (user_id, seq)
);
CREATE INDEX events_by_job ON events (job_id, seq);

-- The provider's callbacks.
CREATE TABLE callbacks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id      text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    provider    text NOT NULL,
    received_at bigint NOT NULL,
    digest      bytea NOT NULL,
    verdict     text NOT NULL
        CHECK (verdict IN ('applied', 'claimed', 'confirmed', 'denied', 'late', 'conflict',
                           'rejected', 'failed')),
    confirmed   boolean,
    evidence    text CHECK (evidence IN ('callback', 'poll', 'submit', 'deadline', 'user')),
    -- Whether it had a valid signature; always false for a provider that does not sign.
    verified    boolean NOT NULL DEFAULT FALSE,
    headers     text NOT NULL,
    body        bytea NOT NULL
);
CREATE UNIQUE INDEX callbacks_by_content ON callbacks (job_id, digest);

-- History entries that are not events.
CREATE TABLE notes (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at     bigint NOT NULL,
    type   text NOT NULL,
    detail text NOT NULL
);
CREATE INDEX notes_by_job ON notes (job_id, id);

-- The outbox.
CREATE TABLE deliveries (
    id              text COLLATE "C" PRIMARY KEY,
    job_id          text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    user_id         bigint NOT NULL,
    seq             bigint NOT NULL,
    status          text NOT NULL,
    final           boolean NOT NULL,
    self_declared   boolean NOT NULL,
    url             text NOT NULL,
    host            text NOT NULL,
    state           text NOT NULL
        CHECK (state IN ('pending', 'delivered', 'skipped', 'exhausted', 'disabled')),
    step            bigint NOT NULL DEFAULT 0,
    -- Sent out of the job's order: an operator or the user requested a retry.
    retried         boolean NOT NULL DEFAULT FALSE,
    created_at      bigint NOT NULL,
    next_attempt_at bigint,
    delivered_at    bigint,
    holder          text,
    held_until      bigint,
    body            bytea NOT NULL,
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'delivered') = (delivered_at IS NOT NULL)),
    CHECK ((holder IS NULL) = (held_until IS NULL)),
    CHECK (holder IS NULL OR state = 'pending'),
    UNIQUE (job_id, seq)
);
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
    delivery_id text COLLATE "C" NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    n           bigint NOT NULL,
    at          bigint NOT NULL,
    status_code bigint,
    error       text,
    duration_ms bigint NOT NULL,
    excerpt     text,
    PRIMARY KEY (delivery_id, n)
);

-- Deliveries as read by all queries, with the attempts as one JSON array of arrays.
CREATE VIEW delivery_rows AS
SELECT id, job_id, user_id, status, seq, state, url, host, body, step, created_at, next_attempt_at,
       delivered_at,
       (SELECT CAST(coalesce(json_agg(json_build_array(at, status_code, error, duration_ms, excerpt)
                                      ORDER BY n), '[]') AS text)
          FROM attempts
         WHERE delivery_id = deliveries.id) AS attempts
  FROM deliveries;

-- No reference to jobs, because keys outlive them.
CREATE TABLE idempotency_keys (
    user_id     bigint NOT NULL REFERENCES users (id),
    path        text NOT NULL,
    key         text NOT NULL,
    fingerprint text NOT NULL,
    job_id      text COLLATE "C" NOT NULL,
    held_until  bigint,
    expires_at  bigint NOT NULL,
    status_code bigint,
    headers     text,
    body        bytea,
    CHECK ((status_code IS NULL) = (headers IS NULL)),
    CHECK ((status_code IS NULL) = (body IS NULL)),
    CHECK (status_code IS NULL OR held_until IS NULL),
    PRIMARY KEY (user_id, path, key)
);
CREATE INDEX idempotency_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_by_job ON idempotency_keys (job_id);
CREATE INDEX idempotency_held ON idempotency_keys (held_until) WHERE held_until IS NOT NULL;

-- Removed jobs with archived files; a row is deleted when its files are.
CREATE TABLE archive_removals (
    job_id    text COLLATE "C" PRIMARY KEY,
    user_name text NOT NULL
);

-- What jobs with a price cost. An entry outlives its job.
CREATE TABLE ledger (
    job_id     text COLLATE "C" PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users (id),
    provider   text NOT NULL,
    kind       text NOT NULL,
    metadata   text,
    created_at bigint NOT NULL,
    currency   text NOT NULL,
    state      text NOT NULL CHECK (state IN ('reserved', 'settled', 'released', 'unknown')),
    amount     numeric NOT NULL,
    reserved   numeric NOT NULL,
    rates      text NOT NULL
);
CREATE INDEX ledger_by_user ON ledger (user_id, created_at, currency);
CREATE INDEX ledger_by_time ON ledger (created_at);

-- What a user may spend, as text such as 50/day, and what was spent since the beginning of the
-- period that was counted last.
CREATE TABLE budgets (
    user_id  bigint PRIMARY KEY REFERENCES users (id),
    budget   text NOT NULL,
    currency text,
    starts   bigint,
    spent    numeric
);

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
