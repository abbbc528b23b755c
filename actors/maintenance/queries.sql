-- name: server
-- What the server's own vacuum goes by, and how old this database is.
SELECT current_setting('server_version_num')::int AS version,
    current_setting('autovacuum_vacuum_threshold')::float8 AS vacuum_base,
    current_setting('autovacuum_vacuum_scale_factor')::float8 AS vacuum_share,
    current_setting('autovacuum_vacuum_insert_threshold')::float8 AS insert_base,
    current_setting('autovacuum_vacuum_insert_scale_factor')::float8 AS insert_share,
    current_setting('autovacuum_analyze_threshold')::float8 AS analyze_base,
    current_setting('autovacuum_analyze_scale_factor')::float8 AS analyze_share,
    current_setting('autovacuum_freeze_max_age')::bigint AS freeze_age_max,
    current_setting('autovacuum_multixact_freeze_max_age')::bigint AS multixact_freeze_age_max,
    current_setting('vacuum_failsafe_age')::bigint AS failsafe_age,
    age(datfrozenxid) AS xid_age, mxid_age(datminmxid) AS multixact_age
FROM pg_database WHERE datname = current_database();

-- name: tables
-- The tables of a schema with what statistics say of them, each with its own settings of autovacuum.
SELECT schema.nspname || '.' || class.relname AS name, class.relkind = 'p' AS is_parent, class.reltuples::float8 AS rows,
    pg_table_size(class.oid) AS heap_bytes, pg_indexes_size(class.oid) AS index_bytes,
    greatest(0, class.relpages - class.relallvisible)::bigint * current_setting('block_size')::bigint AS unfrozen_bytes,
    coalesce(stat.n_dead_tup, 0) AS dead, coalesce(stat.n_ins_since_vacuum, 0) AS inserted,
    coalesce(stat.n_mod_since_analyze, 0) AS modified,
    CASE WHEN class.relkind = 'r' THEN greatest(age(class.relfrozenxid), coalesce(age(toast.relfrozenxid), 0)) ELSE 0 END
        AS xid_age,
    CASE WHEN class.relkind = 'r' THEN greatest(mxid_age(class.relminmxid), coalesce(mxid_age(toast.relminmxid), 0))
        ELSE 0 END AS multixact_age,
    greatest(stat.last_analyze, stat.last_autoanalyze) AS analyzed_at,
    greatest(stat.last_vacuum, stat.last_autovacuum) AS vacuumed_at,
    EXISTS (SELECT FROM pg_stat_progress_vacuum AS work WHERE work.relid = class.oid)
        OR EXISTS (SELECT FROM pg_stat_progress_analyze AS work WHERE work.relid = class.oid)
        OR EXISTS (SELECT FROM pg_stat_progress_create_index AS work WHERE work.relid = class.oid) AS is_in_work,
    coalesce((
        SELECT sum(greatest(part.reltuples, 0)) FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
        WHERE inhparent = class.oid AND class.relkind = 'p'), 0)::float8 AS partition_rows,
    coalesce((
        SELECT jsonb_object_agg(option_name, option_value) FROM pg_options_to_table(class.reloptions)
    ), '{}')::text AS options
FROM pg_class AS class JOIN pg_namespace AS schema ON schema.oid = class.relnamespace
LEFT JOIN pg_stat_all_tables AS stat ON stat.relid = class.oid
LEFT JOIN pg_class AS toast ON toast.oid = class.reltoastrelid
WHERE schema.nspname = $1 AND class.relkind IN ('r', 'p') AND class.relpersistence = 'p'
    AND ($2::text IS NULL OR class.relname = $2)
ORDER BY class.relname;

-- name: indexes
-- The indexes of a schema. What a B-tree would take anew follows from its rows and the mean widths of its columns, with
-- 12 bytes for each entry, rounded up to 8, pages as full as its fillfactor says, and a hundredth for the upper levels.
-- Entries that are alike share their key since version 13, so such an index is smaller than this says, never larger.
-- Source: ioguix, pgsql-bloat-estimation, btree_bloat.sql.
WITH stats AS MATERIALIZED (
    SELECT tablename, attname, (1 - null_frac) * avg_width AS bytes FROM pg_stats WHERE schemaname = $1 AND NOT inherited
), widths AS MATERIALIZED (
    -- Null, as the whole, where of one column nothing is known.
    SELECT entry.attrelid, CASE WHEN count(*) = count(stats.bytes) THEN sum(stats.bytes) END AS bytes
    FROM pg_index AS index
    JOIN pg_class AS class ON class.oid = index.indexrelid
    JOIN pg_namespace AS schema ON schema.oid = class.relnamespace AND schema.nspname = $1
    JOIN pg_class AS main ON main.oid = index.indrelid
    JOIN pg_attribute AS entry ON entry.attrelid = index.indexrelid
    LEFT JOIN pg_attribute AS source ON source.attrelid = index.indrelid
        AND source.attnum = index.indkey[entry.attnum - 1] AND source.attnum > 0
    LEFT JOIN stats ON stats.tablename = CASE WHEN source.attname IS NULL THEN class.relname ELSE main.relname END
        AND stats.attname = coalesce(source.attname, entry.attname)
    GROUP BY entry.attrelid
)
SELECT schema.nspname || '.' || class.relname AS name, schema.nspname || '.' || main.relname AS "table",
    pg_table_size(main.oid) AS table_bytes, pg_relation_size(class.oid) AS bytes,
    index.indisvalid AND index.indisready AND index.indislive AS is_valid,
    EXISTS (SELECT FROM pg_stat_progress_create_index AS work WHERE work.relid = main.oid) AS is_in_work,
    CASE WHEN method.amname = 'btree' AND class.reltuples > 0 AND width.bytes IS NOT NULL THEN (
        1 + 1.01 * ceil(class.reltuples * (ceil((width.bytes + 8) / 8.0) * 8 + 4)
            / ((current_setting('block_size')::int - 40) * fill.factor / 100.0))
    )::bigint * current_setting('block_size')::bigint END AS expected_bytes
FROM pg_index AS index
JOIN pg_class AS class ON class.oid = index.indexrelid
JOIN pg_class AS main ON main.oid = index.indrelid
JOIN pg_namespace AS schema ON schema.oid = class.relnamespace
JOIN pg_am AS method ON method.oid = class.relam
CROSS JOIN LATERAL (
    SELECT coalesce((
        SELECT option_value::float8 FROM pg_options_to_table(class.reloptions) WHERE option_name = 'fillfactor'), 90)
        AS factor
) AS fill
LEFT JOIN widths AS width ON width.attrelid = class.oid
WHERE schema.nspname = $1 AND class.relkind = 'i' AND main.relpersistence = 'p'
    AND ($2::text IS NULL OR class.relname = $2)
ORDER BY class.relname;

-- name: has_pgstattuple
-- Where the extension that reads an index is; no row where it is not installed or not for this role.
SELECT schema.nspname AS schema FROM pg_proc AS function
JOIN pg_namespace AS schema ON schema.oid = function.pronamespace
WHERE function.proname = 'pgstatindex' AND function.pronargs = 1 AND function.proargtypes[0] = 'regclass'::regtype
    AND has_function_privilege(function.oid, 'execute')
    AND EXISTS (SELECT FROM pg_extension WHERE extname = 'pgstattuple' AND extnamespace = schema.oid);

-- name: partitions
-- The days for which these parents have partitions: the newest one that all have, and the oldest that any has.
SELECT min(newest) AS newest, min(oldest) AS oldest FROM (
    SELECT max(day) AS newest, min(day) AS oldest
    FROM unnest($2::text[]) AS parent (name)
    LEFT JOIN LATERAL (
        SELECT to_date(right(part.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
        WHERE inhparent = to_regclass(format('%I.%I', $1::text, parent.name)) AND part.relname ~ '_[0-9]{8}$'
    ) AS days ON true
    GROUP BY parent.name
) AS each_parent;

-- name: active_sessions
-- How many sessions run a statement at this moment, this one and maintenance left out.
SELECT count(*)::int AS count FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND state = 'active'
    AND pid <> pg_backend_pid() AND NOT starts_with(application_name, $1);

-- name: take_turn
-- Become the only one that maintains this database, until the session ends.
SELECT pg_try_advisory_lock($1) AS taken;

-- name: history
-- The last of each kind that was done to each target within a week, of the newest 5000 entries.
SELECT DISTINCT ON (action, target) action, target, started_at + make_interval(secs => coalesce(seconds, 0)) AS at,
    outcome = 'done' AS was_done, before::text AS before, coalesce(after, '{}')::text AS after
FROM (
    SELECT * FROM maintenance_journal WHERE id >= first_uuid7_at(now() - interval '7 days') ORDER BY id DESC LIMIT 5000
) AS newest
ORDER BY action, target, id DESC;

-- name: begin_entry
-- Write down that something begins.
INSERT INTO maintenance_journal (action, target, ordered_by, urgency, reason, statement, before)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb) RETURNING id;

-- name: end_entry
-- Write down how it ended.
UPDATE maintenance_journal SET outcome = $2, error = $3, after = $4::text::jsonb, seconds = $5 WHERE id = $1;

-- name: end_interrupted
-- What is said to run while nobody else maintains was cut short.
UPDATE maintenance_journal SET outcome = 'interrupted', seconds = 0
WHERE outcome = 'running' AND id >= first_uuid7_at(now() - interval '7 days');

-- name: prune_journal
-- Forget what is older than a quarter.
DELETE FROM maintenance_journal WHERE id < first_uuid7_at(now() - interval '90 days');

-- name: list_journal
-- The newest entries, newest first.
SELECT id, started_at, action, target, ordered_by, urgency, reason, statement, before::text AS before,
    after::text AS after, seconds, outcome, error
FROM maintenance_journal ORDER BY id DESC LIMIT $1;

-- name: holders
-- Who keeps dead rows of this database from being removed, longest first: sessions with a snapshot or a transaction,
-- standbys that report theirs, replication slots and prepared transactions. Vacuum and index builds of ours do not count.
SELECT * FROM (
    SELECT CASE WHEN activity.backend_type = 'walsender' THEN 'standby'
            WHEN activity.state LIKE 'idle in transaction%' THEN 'idle_in_transaction' ELSE 'statement' END AS kind,
        coalesce(nullif(activity.application_name, ''), activity.backend_type) AS name, activity.usename::text AS role,
        activity.pid, activity.xact_start AS since,
        extract(epoch FROM clock_timestamp() - activity.xact_start)::float8 AS seconds,
        greatest(age(activity.backend_xmin), age(activity.backend_xid)) AS xids
    FROM pg_stat_activity AS activity
    WHERE (activity.backend_xmin IS NOT NULL OR activity.backend_xid IS NOT NULL
            OR activity.state LIKE 'idle in transaction%')
        AND activity.pid <> pg_backend_pid()
        AND (activity.datname = current_database() OR activity.backend_type = 'walsender')
        AND activity.backend_type IN ('client backend', 'walsender', 'background worker')
        AND NOT starts_with(activity.application_name, $1)
    UNION ALL
    SELECT 'replication_slot', slot_name::text, NULL, active_pid, NULL, NULL,
        greatest(age(xmin), age(catalog_xmin))
    FROM pg_replication_slots WHERE NOT active AND (xmin IS NOT NULL OR catalog_xmin IS NOT NULL)
        AND (database IS NULL OR database = current_database())
    UNION ALL
    SELECT 'prepared_transaction', gid, owner::text, NULL, prepared,
        extract(epoch FROM clock_timestamp() - prepared)::float8, age(transaction)
    FROM pg_prepared_xacts WHERE database = current_database()
) AS holder
ORDER BY seconds DESC NULLS FIRST, xids DESC NULLS LAST;

-- name: end_session
-- End a session of this role, if it still is in the transaction that was judged. Returns whether it was there.
SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
WHERE pid = $1 AND xact_start = $2 AND usename = current_user;
