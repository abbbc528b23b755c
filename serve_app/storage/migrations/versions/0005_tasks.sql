-- Durable tasks. One insert, and one update when it ends: what is ready lives in the scheduler's memory, so nobody
-- reads this table in search of work, and what long transactions keep from being cleaned up costs room and no time.
--
-- Ids are UUIDv7, so a range of them is a range of time: each day is a partition, which is dropped whole.

-- A UUIDv7 for rows that a statement makes by itself; PostgreSQL has its own from version 18 on.
DO $do$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'CREATE FUNCTION new_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$ SELECT uuidv7() $$';
    ELSE
        CREATE FUNCTION new_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
            SELECT encode(
                set_bit(set_bit(
                    overlay(uuid_send(gen_random_uuid()) PLACING
                        substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                        FROM 1 FOR 6),
                    52, 1), 53, 1), 'hex')::uuid
        $$;
    END IF;
END $do$;

-- The smallest id of a moment: the bound of a partition.
CREATE FUNCTION first_uuid7_at(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (encode(substring(int8send(floor(extract(epoch FROM moment) * 1000)::bigint) FROM 3), 'hex')
        || repeat('0', 20))::uuid
$$;

CREATE TABLE tasks (
    id          uuid NOT NULL DEFAULT new_uuid7(),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    owner       text NOT NULL DEFAULT '',
    lane        text,
    unique_key  text,
    priority    smallint NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 3),
    arguments   text NOT NULL DEFAULT 'null',
    run_at      timestamptz NOT NULL DEFAULT now(),
    state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'dead', 'cancelled')),
    attempts    smallint NOT NULL DEFAULT 0,
    orphaned    smallint NOT NULL DEFAULT 0,
    error       text,
    progress    text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (id),
    CHECK ((finished_at IS NULL) = (state = 'pending'))
) PARTITION BY RANGE (id);
COMMENT ON COLUMN tasks.xid IS
    'The transaction that enqueued it: the scheduler asks for what its last snapshot did not show (pg_visible_in_snapshot).';
-- Of what is pending alone, so that the update which ends a task touches neither.
CREATE INDEX tasks_by_xid ON tasks (xid) WHERE finished_at IS NULL;
CREATE INDEX tasks_pending ON tasks (priority, run_at, id) WHERE finished_at IS NULL;
CREATE INDEX tasks_heads ON tasks (lane) WHERE finished_at IS NULL AND lane IS NOT NULL AND attempts + orphaned > 0;
CREATE INDEX tasks_dead ON tasks (id) WHERE state = 'dead';
CREATE TABLE tasks_default PARTITION OF tasks DEFAULT;
COMMENT ON TABLE tasks_default IS 'What was pending or dead when its day was dropped.';

-- Who owns a queue. Every write of a scheduler is conditional on its epoch.
CREATE TABLE task_queue (
    name        text PRIMARY KEY,
    epoch       bigint NOT NULL,
    checkpoint  uuid NOT NULL,
    seen_at     timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);
COMMENT ON COLUMN task_queue.checkpoint IS 'No dispatch before this one is still open, unless a later one repeats it.';
COMMENT ON COLUMN task_queue.seen_at IS 'When its owner was last heard of.';

-- Which tasks were given to which worker. A new owner of the queue finds in it what may still be running.
CREATE TABLE task_dispatches (
    id          uuid NOT NULL DEFAULT new_uuid7(),
    epoch       bigint NOT NULL,
    dispatch    uuid NOT NULL,
    worker      text NOT NULL,
    incarnation text NOT NULL,
    tasks       uuid[] NOT NULL,
    runs        smallint[] NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
COMMENT ON COLUMN task_dispatches.id IS 'By the clock of the server: which row is the later one must not hang on others.';
COMMENT ON COLUMN task_dispatches.dispatch IS 'By which the worker knows it.';
COMMENT ON COLUMN task_dispatches.runs IS
    'For each task its attempts and orphaned runs so far: the run is open while the task has as many.';
CREATE TABLE task_dispatches_default PARTITION OF task_dispatches DEFAULT;

CREATE TABLE task_crons (
    name        text PRIMARY KEY,
    last_at     timestamptz NOT NULL
);

-- Pending tasks that there may be one of.
CREATE TABLE task_uniques (
    name        text NOT NULL,
    unique_key  text NOT NULL,
    task_id     uuid NOT NULL,
    PRIMARY KEY (name, unique_key)
);

-- The gateway's role cannot make or drop tables: these two do it for their owner. They try for a moment to have the lock
-- and fail where a long transaction has it, rather than let everybody queue behind them; the caller tries again later.

-- Make the partitions of today and of as many days ahead; return how many were made.
CREATE FUNCTION make_task_days(ahead int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '300ms' SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    part text;
    day date;
    made int := 0;
BEGIN
    IF ahead NOT BETWEEN 0 AND 31 THEN
        RAISE EXCEPTION 'ahead must be between 0 and 31' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('public.tasks'));
    FOREACH parent IN ARRAY ARRAY['tasks', 'task_dispatches'] LOOP
        FOR day IN SELECT current_date + days FROM generate_series(0, ahead) AS days LOOP
            part := parent || to_char(day, '_YYYYMMDD');
            CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', part, parent);
            -- The default has rows of this day where the clock of whoever made their ids was ahead.
            EXECUTE format(
                'WITH moved AS (DELETE FROM public.%I WHERE id >= %L AND id < %L RETURNING *) '
                'INSERT INTO public.%I SELECT * FROM moved',
                parent || '_default', public.first_uuid7_at(day), public.first_uuid7_at(day + 1), part);
            -- Attached and not made in place: that would keep everybody from the parent.
            EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                parent, part, public.first_uuid7_at(day), public.first_uuid7_at(day + 1));
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

-- Drop the oldest day that is older than the retention; return its name, null where there is none. What is pending or
-- dead in it stays, in the default partition; of the dead there, those of ten retentions ago go, at most 10,000 a call.
CREATE FUNCTION drop_task_day(retention_days int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '300ms' SET timezone = 'UTC' AS $$
DECLARE
    dropped text;
    parent text;
BEGIN
    IF retention_days NOT BETWEEN 1 AND 3650 THEN
        RAISE EXCEPTION 'retention_days must be between 1 and 3650' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('public.tasks'));
    DELETE FROM public.tasks_default WHERE id IN (
        SELECT id FROM public.tasks_default
        WHERE finished_at < current_date - retention_days * CASE state WHEN 'dead' THEN 10 ELSE 1 END LIMIT 10000);
    SELECT part.relname, main.relname INTO dropped, parent
    FROM pg_inherits
    JOIN pg_class AS part ON part.oid = inhrelid
    JOIN pg_class AS main ON main.oid = inhparent
    WHERE inhparent IN ('public.tasks'::regclass, 'public.task_dispatches'::regclass)
        AND part.relname ~ '_[0-9]{8}$'
        AND to_date(right(part.relname, 8), 'YYYYMMDD') < current_date - retention_days
    ORDER BY right(part.relname, 8), main.relname LIMIT 1;
    IF dropped IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('ALTER TABLE public.%I DETACH PARTITION public.%I', parent, dropped);
    IF parent = 'tasks' THEN
        EXECUTE format('INSERT INTO public.tasks SELECT * FROM public.%I WHERE state IN (''pending'', ''dead'')', dropped);
    END IF;
    EXECUTE format('DROP TABLE public.%I', dropped);
    RETURN dropped;
END $$;

REVOKE EXECUTE ON FUNCTION make_task_days(int), drop_task_day(int) FROM PUBLIC;
SELECT make_task_days(3);
