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

CREATE TABLE tasks (
    id          uuid NOT NULL,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    owner       text NOT NULL DEFAULT '',
    lane        text,
    unique_key  text,
    priority    smallint NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 3),
    arguments   text NOT NULL,
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
CREATE INDEX tasks_by_xid ON tasks (xid);
CREATE INDEX tasks_pending ON tasks (priority, id) WHERE finished_at IS NULL;
