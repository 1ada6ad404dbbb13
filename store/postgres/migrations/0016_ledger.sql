-- What jobs with a price cost. An entry outlives its job.
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;
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
