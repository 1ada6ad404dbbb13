-- name: compare
-- Compares a callback with what is stored: whether its id conflicts, whether its job has as many as
-- are stored, the verdict of an earlier one with the same bytes, and whether that one is applied
-- again: its signature is now verified, which can change what it counts for. No row: there is no such job.
SELECT CAST(:provider_request_id AS text) IS NOT NULL
       AND (j.provider_request_id <> :provider_request_id
            OR (j.provider_request_id IS NULL
                AND EXISTS (SELECT 1 FROM jobs other
                             WHERE other.provider_request_id = :provider_request_id
                               AND other.provider = :provider))),
       EXISTS (SELECT 1 FROM callbacks c WHERE c.job_id = j.id LIMIT 1 OFFSET :room - 1),
       seen.verdict,
       seen.verdict IN ('claimed', 'denied', 'late')
       AND CAST(:verified AS boolean) AND NOT seen.verified
  FROM jobs j
  LEFT JOIN callbacks seen ON seen.job_id = j.id AND seen.digest = :digest
 WHERE j.id = :job_id AND j.provider = :provider;

-- name: store
-- Store a callback, or set anew the verdict of one that is applied again.
INSERT INTO callbacks (job_id, provider, received_at, digest, verdict, evidence, verified, headers,
                       body)
VALUES (:job_id, :provider, :at, :digest, :verdict, 'callback', :verified, :headers, :body)
    ON CONFLICT (job_id, digest) DO UPDATE
   SET verdict = excluded.verdict, verified = excluded.verified OR callbacks.verified
RETURNING id;

-- name: verify
-- Mark a stored callback as verified, since it came again with a valid signature.
UPDATE callbacks SET verified = :verified WHERE job_id = :job_id AND digest = :digest;

-- name: exists
-- Whether the provider's job is stored.
SELECT 1 FROM jobs WHERE id = :job_id AND provider = :provider;
