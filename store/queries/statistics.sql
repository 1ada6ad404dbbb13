-- name: count-jobs
-- Jobs by span of creation, status, and the source of the outcome of those that are done.
SELECT (created_at - :since) / :span AS nth, status,
       CASE WHEN done_at IS NOT NULL THEN evidence END AS known, count(*)
  FROM jobs
 WHERE {whose} AND id >= :first
 GROUP BY nth, status, known;

-- name: time-jobs
-- How long the newest jobs took to complete: the median and the 95th percentile (nearest rank) of
-- each span of creation.
SELECT nth, max(CASE WHEN place = (total * 50 + 99) / 100 THEN took END),
       max(CASE WHEN place = (total * 95 + 99) / 100 THEN took END)
  FROM (SELECT nth, took, row_number() OVER (PARTITION BY nth ORDER BY took) AS place,
               count(*) OVER (PARTITION BY nth) AS total
          FROM (SELECT (created_at - :since) / :span AS nth, done_at - created_at AS took
                  FROM (SELECT created_at, done_at, status FROM jobs
                         WHERE {whose} AND id >= :first
                         ORDER BY id DESC
                         LIMIT :limit) AS newest
                 WHERE status = 'COMPLETED') AS completed) AS ranked
 GROUP BY nth;

-- name: count-attempts
-- Attempts of deliveries by span, and how many were successful. `nth` is null for
-- deliveries without one.
SELECT (a.at - :since) / :span AS nth, count(*),
       count(*) FILTER (WHERE a.status_code BETWEEN 200 AND 299)
  FROM (SELECT id FROM deliveries
         WHERE {whose} AND id >= :first) AS d
  LEFT JOIN attempts a ON a.delivery_id = d.id
 GROUP BY nth;
