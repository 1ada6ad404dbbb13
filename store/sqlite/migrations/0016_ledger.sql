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

DROP VIEW stored_jobs;
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
