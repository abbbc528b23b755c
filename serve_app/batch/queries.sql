-- name: begin_run
-- Begin a run about a subject, or find how far it is.
INSERT INTO job_runs (id, job, subject, phase, position, counts, started_at) VALUES ($1, $2, $3, $4, $5, '{}', $6)
ON CONFLICT (job, subject) DO UPDATE SET phase = job_runs.phase
RETURNING *;

-- name: find_open_run
-- The newest run of a job that has not ended.
SELECT * FROM job_runs WHERE job = $1 AND finished_at IS NULL ORDER BY started_at DESC LIMIT 1;

-- name: lock_run
-- How far a run is; nobody moves it until the transaction ends.
SELECT * FROM job_runs WHERE id = $1 FOR UPDATE;

-- name: save_run
-- Record how far a run is.
UPDATE job_runs SET phase = $2, position = $3, counts = $4 WHERE id = $1 AND finished_at IS NULL;

-- name: add_exceptions
-- Record what is wrong; what was recorded before stays.
INSERT INTO job_exceptions (run_id, kind, subject, detail)
SELECT $1, kind, subject, detail FROM unnest($2::text[], $3::text[], $4::jsonb[]) AS item (kind, subject, detail)
ORDER BY kind, subject
ON CONFLICT DO NOTHING;

-- name: finish_run
-- End a run and number its exceptions, in one order whatever way it took.
WITH numbered AS (
    SELECT kind, subject, row_number() OVER (ORDER BY kind, subject) AS number FROM job_exceptions WHERE run_id = $1
), numbering AS (
    UPDATE job_exceptions SET number = numbered.number FROM numbered
    WHERE run_id = $1 AND job_exceptions.kind = numbered.kind AND job_exceptions.subject = numbered.subject
)
UPDATE job_runs SET phase = 'finished', position = '{}', counts = $2, finished_at = $3
WHERE id = $1 AND finished_at IS NULL;

-- name: count_exceptions
-- How many exceptions of each kind a run found.
SELECT kind, count(*) FROM job_exceptions WHERE run_id = $1 GROUP BY kind ORDER BY kind;

-- name: list_exceptions
-- The first exceptions of a run that has ended.
SELECT number, kind, subject, detail FROM job_exceptions WHERE run_id = $1 AND number IS NOT NULL
ORDER BY number LIMIT $2;

-- name: discard_runs
-- Forget the other runs of a job that have not ended, with what they found.
WITH discarded AS (DELETE FROM job_runs WHERE job = $1 AND id <> $2 AND finished_at IS NULL RETURNING id)
DELETE FROM job_exceptions USING discarded WHERE run_id = discarded.id;
