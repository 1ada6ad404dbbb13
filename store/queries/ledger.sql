-- name: enter
-- Enter the cost of a new job.
INSERT INTO ledger (job_id, user_id, provider, kind, metadata, created_at, currency, state, amount,
                    reserved, rates)
VALUES (:job_id, :user_id, :provider, :kind, :metadata, :created_at, :currency, :state, :amount,
        :reserved, :rates);

-- name: settle
-- Change what is known of a job's cost.
UPDATE ledger SET state = :state, amount = :amount WHERE job_id = :job_id;

-- name: spent-since
-- What a user's jobs of one currency that were created in a period cost so far. It reads those of
-- the period.
SELECT coalesce({decimal_sum}(amount), '0') FROM ledger
 WHERE user_id = :user_id AND currency = :currency AND created_at >= :starts AND created_at < :ends;

-- name: newest-currency
-- The currency of a user's newest job with a price.
SELECT currency FROM ledger WHERE user_id = :user_id ORDER BY created_at DESC LIMIT 1;

-- name: read-budget
-- A user's budget, and what was spent since the beginning of the period that was counted last.
SELECT budget, currency, starts, spent FROM budgets WHERE user_id = :user_id;

-- name: count-spent
-- Keep what a user has spent in a period.
UPDATE budgets SET currency = :currency, starts = :starts, spent = :spent WHERE user_id = :user_id;

-- name: lock-user
-- Lock a user until the commit, and so the user's budget; no row if there is none.
SELECT id FROM users WHERE name = :user {for_update};

-- name: set-budget
-- Set a user's budget, with what has been spent.
INSERT INTO budgets (user_id, budget, currency, starts, spent)
VALUES (:user_id, :budget, :currency, :starts, :spent)
    ON CONFLICT (user_id) DO UPDATE
   SET budget = excluded.budget, currency = excluded.currency, starts = excluded.starts,
       spent = excluded.spent;

-- name: remove-budget
-- Remove a user's budget.
DELETE FROM budgets WHERE user_id = :user_id;

-- name: list-budgets
-- Budgets by user, and what was spent since the beginning of the period that was counted last.
SELECT b.user_id, u.name, b.budget, b.currency, b.starts, b.spent
  FROM budgets b JOIN users u ON u.id = b.user_id WHERE {whose} ORDER BY u.name;

-- name: first-and-last
-- When the first and the last job of a period were created; NULL if there is none.
SELECT (SELECT min(created_at) FROM ledger WHERE {whose} AND created_at > :created_after),
       (SELECT max(created_at) FROM ledger WHERE {whose} AND created_at < :created_before);

-- name: spend
-- The sums of jobs by day (its number since 1970), provider, kind or user, and perhaps by another
-- of these.
SELECT {key} AS key, {split} AS split, count(*),
       coalesce({decimal_sum}(amount) FILTER (WHERE state = 'reserved'), '0'),
       coalesce({decimal_sum}(amount) FILTER (WHERE state = 'settled'), '0'),
       coalesce({decimal_sum}(amount) FILTER (WHERE state = 'unknown'), '0')
  FROM ledger
 WHERE {whose} AND currency = :currency AND created_at >= :starts AND created_at < :ends
   AND (CAST(:metadata AS text) = '{{}}' OR NOT EXISTS (
        SELECT 1 FROM {metadata_members} AS wanted
         WHERE NOT EXISTS (SELECT 1 FROM {ledger_members} AS m
                            WHERE m.key = wanted.key AND m.value = wanted.value)))
 GROUP BY 1, 2;

-- name: remove-old
-- Remove old entries whose jobs are gone.
DELETE FROM ledger
 WHERE job_id IN (SELECT l.job_id FROM ledger l
                   WHERE l.created_at < :created_before
                     AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = l.job_id)
                   ORDER BY l.created_at
                   LIMIT :limit);
