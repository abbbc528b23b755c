-- name: enqueue
-- Store tasks; of those with a unique key, where none of that name and key is pending. Returns every row, and whether
-- its task is stored. May be repeated with the same ids.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[], $8::timestamptz[],
        $9::text[]
    ) WITH ORDINALITY AS item (id, name, owner, lane, unique_key, priority, arguments, run_at, trace, ordinal)
), claimed AS (
    INSERT INTO task_uniques (name, unique_key, task_id)
    SELECT name, unique_key, id FROM input
    WHERE unique_key IS NOT NULL AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = input.id)
    ORDER BY name, unique_key, ordinal
    ON CONFLICT DO NOTHING
    RETURNING task_id
), stored AS (
    INSERT INTO tasks (id, name, owner, lane, unique_key, priority, arguments, run_at, trace)
    SELECT id, name, owner, lane, unique_key, priority, arguments, coalesce(run_at, now()), trace
    FROM input WHERE unique_key IS NULL OR id IN (SELECT task_id FROM claimed)
    ON CONFLICT DO NOTHING
)
SELECT ordinal::int,
    unique_key IS NULL OR id IN (SELECT task_id FROM claimed) OR EXISTS (SELECT FROM tasks WHERE tasks.id = input.id)
        AS stored
FROM input;

-- name: take_queue
-- Become the owner of a queue: from now on nothing is written under an earlier epoch. Returns the epoch, and the id
-- from which on the dispatches of former owners matter.
INSERT INTO task_queue (name, epoch, checkpoint) VALUES ($1, 1, first_uuid7_at(now()))
ON CONFLICT (name) DO UPDATE SET epoch = task_queue.epoch + 1, seen_at = now()
RETURNING epoch, checkpoint;

-- name: silence
-- For how many seconds the owner of a queue has not been heard of.
SELECT extract(epoch FROM now() - seen_at)::float8 FROM task_queue WHERE name = $1;

-- name: snapshot
-- What is visible now.
SELECT pg_current_snapshot()::text;

-- name: discover
-- The pending tasks that an earlier snapshot did not show, in the order of time and id, with the snapshot of this
-- statement: each committed task is in exactly one of such statements, however ids and commits interleave.
WITH before AS MATERIALIZED (SELECT $1::text::pg_snapshot AS snapshot)
SELECT current.snapshot, found.*
FROM (SELECT pg_current_snapshot()::text AS snapshot) AS current LEFT JOIN LATERAL (
    SELECT id, name, owner, lane, priority, arguments, extract(epoch FROM run_at)::float8 AS run_at, attempts, orphaned,
    trace
    FROM before JOIN tasks ON tasks.xid >= pg_snapshot_xmin(before.snapshot)
    WHERE NOT pg_visible_in_snapshot(tasks.xid, before.snapshot) AND finished_at IS NULL
    ORDER BY tasks.run_at, id LIMIT $2
) AS found ON true;

-- name: fetch
-- The pending tasks of a priority that are due before a time, in the order of time and id, after a position.
SELECT id, name, owner, lane, priority, arguments, extract(epoch FROM run_at)::float8 AS run_at, attempts, orphaned,
    trace
FROM tasks
WHERE finished_at IS NULL AND priority = $1 AND (tasks.run_at, id) > (to_timestamp($2), $3::uuid)
    AND tasks.run_at < to_timestamp($4)
ORDER BY tasks.run_at, id LIMIT $5;

-- name: heads
-- The pending tasks with a lane that have run before and failed or were orphaned: their lanes may have to wait for them.
SELECT id, name, owner, lane, priority, arguments, extract(epoch FROM run_at)::float8 AS run_at, attempts, orphaned,
    trace
FROM tasks WHERE finished_at IS NULL AND lane IS NOT NULL AND attempts + orphaned > 0
ORDER BY id LIMIT $1;

-- name: record
-- Record what became of tasks, which others are cancelled, and which go to workers now; nothing, unless the epoch is the
-- queue's still. Returns whether it is. May be repeated.
WITH owner AS MATERIALIZED (
    SELECT epoch FROM task_queue WHERE name = $1 AND epoch = $2 FOR SHARE
), input AS MATERIALIZED (
    SELECT * FROM unnest($3::uuid[], $4::text[], $5::smallint[], $6::smallint[], $7::text[], $8::float8[])
        AS item (id, state, attempts, orphaned, error, run_at)
    UNION ALL
    SELECT id, 'cancelled', NULL, NULL, 'cancelled before it ran', NULL FROM unnest($9::uuid[]) AS id
), ended AS (
    UPDATE tasks SET
        state = input.state, attempts = coalesce(input.attempts, tasks.attempts),
        orphaned = coalesce(input.orphaned, tasks.orphaned), error = input.error,
        run_at = coalesce(to_timestamp(input.run_at), tasks.run_at),
        finished_at = CASE WHEN input.state <> 'pending' THEN now() END
    FROM input, owner
    WHERE tasks.id = input.id AND tasks.finished_at IS NULL
    RETURNING tasks.id, tasks.name, tasks.unique_key, tasks.state
), freed AS (
    DELETE FROM task_uniques USING ended
    WHERE ended.unique_key IS NOT NULL AND ended.state <> 'pending' AND task_uniques.name = ended.name
        AND task_uniques.unique_key = ended.unique_key AND task_uniques.task_id = ended.id
), dispatched AS (
    INSERT INTO task_dispatches (epoch, dispatch, worker, incarnation, tasks, runs)
    SELECT owner.epoch, dispatch, worker, incarnation, array_agg(task), array_agg(run)
    FROM unnest($10::uuid[], $11::text[], $12::text[], $13::uuid[], $14::smallint[])
        AS item (dispatch, worker, incarnation, task, run), owner
    GROUP BY owner.epoch, dispatch, worker, incarnation
)
SELECT EXISTS (SELECT FROM owner) AS owned;

-- name: checkpoint
-- Repeat what is dispatched and still open, so that nobody needs to look at what came before; tell that the owner lives.
WITH owner AS (
    UPDATE task_queue SET checkpoint = first_uuid7_at(now() - interval '1 second'), seen_at = now()
    WHERE name = $1 AND epoch = $2 RETURNING epoch
), dispatched AS (
    INSERT INTO task_dispatches (epoch, dispatch, worker, incarnation, tasks, runs)
    SELECT owner.epoch, dispatch, worker, incarnation, array_agg(task), array_agg(run)
    FROM unnest($3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::smallint[])
        AS item (dispatch, worker, incarnation, task, run), owner
    GROUP BY owner.epoch, dispatch, worker, incarnation
)
SELECT EXISTS (SELECT FROM owner) AS owned;

-- name: open_dispatches
-- The pending tasks that a former owner gave to a worker, with the last one that had each, and whose run nobody
-- recorded the end of.
SELECT DISTINCT ON (tasks.id)
    dispatch.dispatch, dispatch.worker, dispatch.incarnation, tasks.id, name, owner, lane, priority, arguments,
    extract(epoch FROM run_at)::float8 AS run_at, attempts, orphaned,
    trace
FROM task_dispatches AS dispatch
CROSS JOIN LATERAL unnest(dispatch.tasks, dispatch.runs) AS item (task, run)
JOIN tasks ON tasks.id = item.task AND tasks.finished_at IS NULL AND tasks.attempts + tasks.orphaned = item.run
WHERE dispatch.epoch < $1 AND dispatch.id >= $2
ORDER BY tasks.id, dispatch.id DESC;

-- name: progress
-- Tell how far running tasks are.
UPDATE tasks SET progress = input.progress
FROM unnest($3::uuid[], $4::text[]) AS input (id, progress), (
    SELECT FROM task_queue WHERE name = $1 AND epoch = $2 FOR SHARE
) AS owner
WHERE tasks.id = input.id AND tasks.finished_at IS NULL;

-- name: redrive
-- Have dead tasks run again as if they were new. One whose unique key another pending task has stays dead. Returns those
-- that are pending now.
WITH dead AS MATERIALIZED (
    SELECT id, name, unique_key FROM tasks WHERE id = ANY ($1::uuid[]) AND state = 'dead' ORDER BY id FOR UPDATE
), claimed AS (
    INSERT INTO task_uniques (name, unique_key, task_id)
    SELECT name, unique_key, id FROM dead WHERE unique_key IS NOT NULL ORDER BY name, unique_key, id
    ON CONFLICT DO NOTHING RETURNING task_id
)
UPDATE tasks SET
    state = 'pending', attempts = 0, orphaned = 0, finished_at = NULL, run_at = now(), progress = NULL,
    xid = pg_current_xact_id()
FROM dead
WHERE tasks.id = dead.id AND (dead.unique_key IS NULL OR dead.id IN (SELECT task_id FROM claimed))
RETURNING tasks.id;

-- name: find_task
-- One task.
SELECT id, name, owner, lane, unique_key, priority, arguments, run_at, state, attempts, orphaned, error, progress,
    created_at, finished_at
FROM tasks WHERE id = $1;

-- name: list_tasks
-- A page of tasks before an id, the newest first.
SELECT id, name, owner, lane, unique_key, priority, arguments, run_at, state, attempts, orphaned, error, progress,
    created_at, finished_at
FROM tasks
WHERE id < $1 AND ($2::text IS NULL OR name = $2) AND ($3::text IS NULL OR state = $3)
ORDER BY id DESC LIMIT $4;

-- name: list_pending
-- A page of pending tasks before an id, the newest first.
SELECT id, name, owner, lane, unique_key, priority, arguments, run_at, state, attempts, orphaned, error, progress,
    created_at, finished_at
FROM tasks
WHERE finished_at IS NULL AND id < $1 AND ($2::text IS NULL OR name = $2)
ORDER BY id DESC LIMIT $3;

-- name: list_dead
-- A page of dead letters before an id, the newest first.
SELECT id, name, owner, lane, unique_key, priority, arguments, run_at, state, attempts, orphaned, error, progress,
    created_at, finished_at
FROM tasks
WHERE state = 'dead' AND id < $1 AND ($2::text IS NULL OR name = $2)
ORDER BY id DESC LIMIT $3;

-- name: begin_crons
-- Have schedules that are new begin now. Returns when each was due the last time that it fired.
WITH added AS (
    INSERT INTO task_crons (name, last_at) SELECT name, now() FROM unnest($1::text[]) AS name ORDER BY name
    ON CONFLICT DO NOTHING RETURNING name, last_at
)
SELECT name, last_at FROM added
UNION ALL
SELECT name, last_at FROM task_crons WHERE name = ANY ($1::text[]);

-- name: fire
-- Enqueue what a schedule is due for and move it on, if it stands where its owner believes and the queue is his still.
-- With a unique key nothing is enqueued where one that it fired before is pending. Returns whether it is his, and whether the schedule moved: each time fires once.
WITH owner AS MATERIALIZED (
    SELECT epoch FROM task_queue WHERE name = $1 AND epoch = $2 FOR SHARE
), moved AS (
    UPDATE task_crons SET last_at = $5 FROM owner
    WHERE task_crons.name = $3 AND task_crons.last_at = $4 RETURNING task_crons.name
), input AS MATERIALIZED (
    SELECT new_uuid7() AS id, moved.name, arguments, run_at
    FROM moved, unnest($7::text[], $8::timestamptz[]) AS item (arguments, run_at)
), claimed AS (
    INSERT INTO task_uniques (name, unique_key, task_id) SELECT name, $9, id FROM input WHERE $9::text IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING task_id
), stored AS (
    INSERT INTO tasks (id, name, unique_key, priority, arguments, run_at)
    SELECT id, name, $9, $6, arguments, run_at FROM input
    WHERE $9::text IS NULL OR id IN (SELECT task_id FROM claimed)
)
SELECT EXISTS (SELECT FROM owner) AS owned, EXISTS (SELECT FROM moved) AS moved;
