-- The schema of release 2.0.0 (17): its migrations, one after the other, without comments.
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
    event_seq             bigint NOT NULL DEFAULT 0,
    event_nonce           text NOT NULL,
    origin_nonce          text NOT NULL,
    events_removed        bigint NOT NULL DEFAULT 0,
    CHECK (events_removed <= event_seq)
);
CREATE TABLE api_keys (
    hash       text PRIMARY KEY CHECK (length(hash) = 64),
    prefix     text NOT NULL,
    user_id    bigint NOT NULL REFERENCES users (id),
    admin      boolean NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);
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
CREATE INDEX jobs_by_user ON jobs (user_id, id, created_at);
CREATE INDEX jobs_by_status ON jobs (user_id, status, id, created_at);
CREATE INDEX jobs_by_kind ON jobs (user_id, kind, id, created_at);
CREATE INDEX jobs_unfinished ON jobs (phase, created_at) WHERE phase <> 'finished';
CREATE INDEX jobs_unfinished_by_user ON jobs (user_id, id) WHERE phase <> 'finished';
CREATE INDEX jobs_by_end ON jobs (done_at) WHERE done_at IS NOT NULL;
CREATE TABLE job_inputs (
    job_id text COLLATE "C" PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    input  text NOT NULL
);
CREATE TABLE job_metadata (
    user_id bigint NOT NULL,
    name    text NOT NULL,
    value   text NOT NULL,
    job_id  text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, name, value, job_id)
);
CREATE INDEX job_metadata_by_job ON job_metadata (job_id);
CREATE TABLE due (
    job_id     text COLLATE "C" PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    lane       text NOT NULL CHECK (lane IN ('submit', 'submitting', 'wait', 'confirm', 'poll')),
    at         bigint NOT NULL,
    holder     text,
    held_until bigint,
    CHECK ((holder IS NULL) = (held_until IS NULL))
);
CREATE INDEX due_by_lane ON due (lane, at);
CREATE INDEX due_held ON due (lane, held_until) WHERE holder IS NOT NULL;
CREATE TABLE submission_holds (
    provider text PRIMARY KEY,
    until    bigint NOT NULL
);
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
CREATE TABLE removed_events (
    user_id bigint NOT NULL,
    seq     bigint NOT NULL,
    nonce   text NOT NULL,
    PRIMARY KEY (user_id, seq)
);
CREATE TABLE callbacks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id      text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    provider    text NOT NULL,
    received_at bigint NOT NULL,
    digest      bytea NOT NULL,
    verdict     text NOT NULL
        CHECK (verdict IN ('waiting', 'applied', 'claimed', 'confirmed', 'denied', 'late',
                           'conflict', 'rejected', 'failed')),
    confirmed   boolean,
    evidence    text CHECK (evidence IN ('callback', 'poll', 'submit', 'deadline', 'user')),
    tries       bigint NOT NULL DEFAULT 0,
    headers     text NOT NULL,
    body        bytea NOT NULL
);
CREATE UNIQUE INDEX callbacks_by_content ON callbacks (job_id, digest);
CREATE INDEX callbacks_waiting ON callbacks (id) WHERE verdict = 'waiting';
CREATE INDEX callbacks_waiting_by_job ON callbacks (job_id) WHERE verdict = 'waiting';
CREATE VIEW job_rows AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking,
       d.lane, d.at AS due_at, d.holder,
       EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id AND c.verdict = 'waiting')
           AS callbacks_waiting
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;
CREATE TABLE notes (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at     bigint NOT NULL,
    type   text NOT NULL,
    detail text NOT NULL
);
CREATE INDEX notes_by_job ON notes (job_id, id);
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
CREATE INDEX deliveries_due ON deliveries (host, user_id, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_pending ON deliveries (next_attempt_at, created_at)
    WHERE state = 'pending';
CREATE INDEX deliveries_pending_by_job ON deliveries (job_id, seq) WHERE state = 'pending';
CREATE INDEX deliveries_held ON deliveries (held_until) WHERE holder IS NOT NULL;
CREATE INDEX deliveries_by_user ON deliveries (user_id, id);
CREATE INDEX deliveries_by_state ON deliveries (user_id, state, id);
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
CREATE VIEW delivery_rows AS
SELECT id, job_id, user_id, status, seq, state, url, host, body, step, created_at, next_attempt_at,
       delivered_at,
       (SELECT CAST(coalesce(json_agg(json_build_array(at, status_code, error, duration_ms, excerpt)
                                      ORDER BY n), '[]') AS text)
          FROM attempts
         WHERE delivery_id = deliveries.id) AS attempts
  FROM deliveries;
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
ALTER TABLE jobs ADD COLUMN trace_context text;
CREATE INDEX deliveries_places ON deliveries (user_id, host, next_attempt_at)
    WHERE state = 'pending';
CREATE INDEX deliveries_by_host ON deliveries (rtrim(host, '0123456789'), id, user_id);
CREATE INDEX deliveries_unfinished ON deliveries (state, id)
    WHERE state NOT IN ('delivered', 'skipped');
ALTER TABLE due ADD COLUMN provider text NOT NULL DEFAULT '';
ALTER TABLE due ADD COLUMN user_id bigint NOT NULL DEFAULT 0;
UPDATE due SET provider = jobs.provider, user_id = jobs.user_id FROM jobs WHERE jobs.id = due.job_id;
CREATE INDEX due_submissions ON due (provider, user_id, at)
    WHERE lane = 'submit' AND holder IS NULL;
ALTER TABLE submission_holds ADD COLUMN state text;
ALTER TABLE jobs ADD COLUMN label text COLLATE "C";
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at);
ALTER TABLE jobs ADD COLUMN provider_urls text;
ALTER TABLE jobs ADD COLUMN cancel_wanted boolean NOT NULL DEFAULT false;
ALTER TABLE callbacks ADD COLUMN verified boolean NOT NULL DEFAULT false;
CREATE TABLE job_results (
    job_id text COLLATE "C" PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    result text NOT NULL
);
CREATE INDEX jobs_by_provider ON jobs (user_id, provider, id, created_at);
CREATE VIEW provider_job_rows AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking, j.provider_urls, j.cancel_wanted,
       d.lane, d.at AS due_at, d.holder,
       EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id AND c.verdict = 'waiting')
           AS callbacks_waiting,
       j.label
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;
ALTER TABLE jobs ADD COLUMN archive text;
ALTER TABLE due DROP CONSTRAINT due_lane_check;
ALTER TABLE due ADD CONSTRAINT due_lane_check
    CHECK (lane IN ('submit', 'submitting', 'wait', 'confirm', 'poll', 'archive'));
CREATE VIEW archived_job_rows AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking, j.provider_urls, j.cancel_wanted, j.archive,
       d.lane, d.at AS due_at, d.holder,
       EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id AND c.verdict = 'waiting')
           AS callbacks_waiting,
       j.label
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;
CREATE TABLE archive_removals (
    job_id    text COLLATE "C" PRIMARY KEY,
    user_name text NOT NULL
);
DROP INDEX due_submissions;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, at)
    WHERE lane IN ('submit', 'archive') AND holder IS NULL;
DROP INDEX deliveries_by_host;
CREATE INDEX deliveries_by_host ON deliveries (user_id, rtrim(host, '0123456789'), id);
DROP INDEX due_by_lane;
DROP INDEX due_by_turn;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, at) WHERE holder IS NULL;
DROP INDEX callbacks_waiting_by_job;
DROP VIEW job_rows;
DROP VIEW provider_job_rows;
CREATE VIEW stored_jobs AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking, j.provider_urls, j.cancel_wanted, j.archive,
       d.lane, d.at AS due_at, d.holder, j.label
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;
DROP INDEX due_by_turn;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, at, job_id) WHERE holder IS NULL;
DROP INDEX deliveries_places;
CREATE INDEX deliveries_places ON deliveries (user_id, host, next_attempt_at, id)
    WHERE state = 'pending' AND holder IS NULL;
ALTER TABLE users ADD COLUMN stored_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN stored_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN archived_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN archived_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN source text;
ALTER TABLE jobs ADD COLUMN details text;
CREATE OR REPLACE VIEW stored_jobs AS
SELECT j.id, j.user_id, u.name AS user, j.provider, j.kind, j.created_at, j.metadata, j.webhook_url,
       j.webhook_events, j.webhook_off,
       j.status, j.phase, j.seq, j.updated_at, j.progress, j.provider_status, j.evidence, j.message,
       j.result, j.error_code, j.error_message, j.error_billed, j.provider_request_id,
       j.id_from_answer, j.done_at, j.accepted_at, j.unconfirmed_at, j.result_at, j.attempts,
       j.maybe_sent, j.refused_with, j.tracking, j.provider_urls, j.cancel_wanted, j.archive,
       d.lane, d.at AS due_at, d.holder, j.label, j.source, j.details
  FROM jobs j
  JOIN users u ON u.id = j.user_id
  LEFT JOIN due d ON d.job_id = j.id;
ALTER TABLE due ADD COLUMN batch smallint NOT NULL DEFAULT 0 CHECK (batch IN (0, 1));
DROP INDEX due_by_turn;
CREATE INDEX due_by_turn ON due (lane, provider, user_id, batch, at, job_id) WHERE holder IS NULL;
DROP INDEX jobs_unfinished;
CREATE INDEX jobs_unfinished ON jobs (phase, provider, created_at, user_id)
    WHERE phase <> 'finished';
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
CREATE TABLE budgets (
    user_id  bigint PRIMARY KEY REFERENCES users (id),
    budget   text NOT NULL,
    currency text,
    starts   bigint,
    spent    numeric
);
CREATE OR REPLACE VIEW stored_jobs AS
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
ALTER TABLE api_keys ADD COLUMN name text, ADD COLUMN last_used_at bigint;
INSERT INTO meta (key, value) VALUES ('application', 'receiver'), ('schema', '17');
