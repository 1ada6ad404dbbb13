-- name: lock-jobs
-- Lock the jobs that a batch is going to change, in the same order in all processes. Inserts that
-- refer to a job (incoming callbacks) do not wait for this lock.
SELECT id FROM jobs
 WHERE id IN (SELECT unnest(CAST(:jobs AS text[]))
               UNION
              SELECT job_id FROM deliveries WHERE id = ANY (CAST(:deliveries AS text[])))
 ORDER BY id
   FOR NO KEY UPDATE;
