-- name: version
-- The server's version as a number, the database, and for how long its statistics have been gathered.
SELECT current_setting('server_version_num')::int AS version, current_database() AS database,
    extract(epoch FROM now() - greatest(pg_postmaster_start_time(), (
        SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()
    )))::float8 AS observed_s,
    current_schemas(false)::text[] AS search_path;

-- name: extensions
-- The schemas of the extensions that the optimizer uses.
SELECT extname::text AS name, nspname::text AS schema
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname IN ('pg_stat_statements', 'hypopg');

-- name: tables
-- The tables of the database with what was written to them.
SELECT class.oid::bigint AS oid, nspname::text AS schema, class.relname::text AS name, greatest(reltuples, 0)::float8 AS rows,
    pg_table_size(class.oid) AS size_bytes, relkind = 'p' AS is_partitioned,
    coalesce(n_tup_ins + n_tup_upd + n_tup_del, 0) AS writes, coalesce(n_tup_ins, 0) AS inserts,
    coalesce(n_tup_upd, 0) AS updates, coalesce(n_tup_hot_upd, 0) AS hot_updates
FROM pg_class AS class JOIN pg_namespace ON pg_namespace.oid = relnamespace
LEFT JOIN pg_stat_all_tables AS stat ON stat.relid = class.oid
WHERE relkind IN ('r', 'm', 'p') AND relpersistence <> 't'
    AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY class.oid;

-- name: columns
-- Their columns with the statistics of the planner; a negative number of distinct values is a share of the rows.
SELECT attrelid::bigint AS table_oid, attribute.attname::text AS name, format_type(atttypid, atttypmod) AS type,
    coalesce(avg_width, CASE WHEN attlen > 0 THEN attlen ELSE 32 END)::int AS width_bytes,
    coalesce(n_distinct, 0)::float8 AS distinct_values
FROM pg_attribute AS attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
LEFT JOIN pg_stats ON schemaname = nspname AND tablename = relname AND pg_stats.attname = attribute.attname
    AND pg_stats.inherited = (relkind = 'p')
WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'm', 'p') AND relpersistence <> 't'
    AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY attrelid, attnum;

-- name: indexes
-- Their indexes. `special` names what is not the default of a column: operator class, collation, order of nulls.
SELECT index.indexrelid::bigint AS oid, indrelid::bigint AS table_oid, class.relname::text AS name, amname::text AS method,
    CASE WHEN indexprs IS NULL THEN ARRAY(
        SELECT attname::text FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute ON attrelid = indrelid AND attnum = number WHERE place <= indnkeyatts ORDER BY place
    ) END AS keys,
    ARRAY(
        SELECT attname::text FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute ON attrelid = indrelid AND attnum = number WHERE place > indnkeyatts ORDER BY place
    ) AS include,
    indoption::int2[]::int[] AS options, pg_get_expr(indpred, indrelid) AS predicate,
    pg_get_indexdef(index.indexrelid) AS definition, pg_relation_size(index.indexrelid) AS size_bytes,
    coalesce(idx_scan, 0) AS scans, indisunique AS is_unique,
    indisvalid AND indisready OR EXISTS (SELECT FROM pg_stat_progress_create_index WHERE index_relid = index.indexrelid)
        AS is_valid,
    indisprimary OR indisexclusion OR indisreplident OR indisclustered OR class.relkind = 'I'
        OR EXISTS (SELECT FROM pg_constraint WHERE conindid = index.indexrelid)
        OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = index.indexrelid)
        OR EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = index.indexrelid AND deptype = 'e')
        AS constrains,
    coalesce((
        SELECT string_agg(format('%s:%s:%s', place, opclass.opcname, of_key), ' ' ORDER BY place)
        FROM unnest(indclass::oid[], indcollation::oid[], indkey::int2[])
            WITH ORDINALITY AS part (class_oid, of_key, number, place)
        JOIN pg_opclass AS opclass ON opclass.oid = class_oid
        LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number
        WHERE place <= indnkeyatts AND (NOT opcdefault OR of_key NOT IN (0, coalesce(attcollation, 0)))
    ), '') AS special
FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
JOIN pg_am ON pg_am.oid = class.relam
JOIN pg_class AS owner ON owner.oid = index.indrelid JOIN pg_namespace ON pg_namespace.oid = owner.relnamespace
LEFT JOIN pg_stat_all_indexes AS stat ON stat.indexrelid = index.indexrelid
WHERE owner.relpersistence <> 't' AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY index.indexrelid;

-- name: references
-- Foreign keys of one column.
SELECT conrelid::bigint AS table_oid, attname::text AS column_name, nspname::text AS schema, relname::text AS name
FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
JOIN pg_class ON pg_class.oid = confrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE contype = 'f' AND cardinality(conkey) = 1;

-- name: statements
-- What this database ran since the statistics were reset, but for the optimizer's own statements.
SELECT queryid AS query_id, max(query) AS text, sum(calls)::bigint AS calls, sum(total_exec_time)::float8 AS total_ms,
    sum(rows)::bigint AS rows, sum(calls * (stddev_exec_time ^ 2 + mean_exec_time ^ 2))::float8 AS squares_ms2
FROM {schema}.pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND queryid IS NOT NULL AND query NOT LIKE '%easypay-optimizer%'
GROUP BY queryid ORDER BY sum(total_exec_time) DESC LIMIT $1;

-- name: examples
-- Statements as they are sent at this moment, with their constants.
SELECT query_id, query AS text FROM pg_stat_activity
WHERE datname = current_database() AND query_id IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend';

-- name: volatile_functions
-- Those of these names that may do something or answer differently each time.
SELECT DISTINCT proname::text AS name FROM pg_proc WHERE provolatile = 'v' AND proname = ANY ($1::text[]);

-- name: make_journal
-- The journal on a database that the gateway's migrations do not make it on, and who may write it.
CREATE TABLE IF NOT EXISTS optimizer_epochs (
    name    text PRIMARY KEY,
    epoch   bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS optimizer_journal (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    epoch       bigint NOT NULL,
    action      text NOT NULL,
    table_name  text NOT NULL,
    index_name  text NOT NULL,
    why         text NOT NULL,
    before_ms   double precision,
    after_ms    double precision,
    statement   text NOT NULL,
    undo        text,
    undone_at   timestamptz,
    undone_by   bigint REFERENCES optimizer_journal (id)
);

-- name: has_journal
-- Whether the journal is there.
SELECT to_regclass('optimizer_journal') IS NOT NULL AND to_regclass('optimizer_epochs') IS NOT NULL;

-- name: take
-- Become the owner: nothing is written under an earlier epoch from now on.
INSERT INTO optimizer_epochs (name, epoch) VALUES ($1, 1)
ON CONFLICT (name) DO UPDATE SET epoch = optimizer_epochs.epoch + 1, seen_at = now()
RETURNING epoch;

-- name: record
-- Write down an action under an epoch; no row where that is over.
INSERT INTO optimizer_journal
    (epoch, action, table_name, index_name, why, before_ms, after_ms, statement, undo)
SELECT $2, $3, $4, $5, $6, $7, $8, $9, $10
FROM (SELECT FROM optimizer_epochs WHERE name = $1 AND epoch = $2 FOR SHARE) AS owner
RETURNING id;

-- name: owns
-- Be heard of under an epoch; no row where that is over.
UPDATE optimizer_epochs SET seen_at = now() WHERE name = $1 AND epoch = $2 RETURNING epoch;

-- name: silence
-- For how many seconds the owner has not been heard of.
SELECT extract(epoch FROM now() - seen_at)::float8 FROM optimizer_epochs WHERE name = $1;

-- name: entries
-- The journal, the newest first, before an entry.
SELECT id, at, epoch, action, table_name, index_name, why, before_ms, after_ms, statement, undo, undone_at, undone_by
FROM optimizer_journal WHERE id < $1 ORDER BY id DESC LIMIT $2;

-- name: entry
-- One entry of the journal.
SELECT id, at, epoch, action, table_name, index_name, why, before_ms, after_ms, statement, undo, undone_at, undone_by
FROM optimizer_journal WHERE id = $1;

-- name: mark_undone
-- Note that an entry was undone, and by which one.
UPDATE optimizer_journal SET undone_at = now(), undone_by = $2 WHERE id = $1 AND undone_at IS NULL;

-- name: kept
-- Indexes that were ever kept.
SELECT DISTINCT index_name FROM optimizer_journal WHERE action IN ('created', 'restored');

-- name: refused
-- Indexes that were tried in the last days and not kept, or slowed writes, or whose creation or removal was undone.
SELECT DISTINCT index_name FROM optimizer_journal
WHERE at > now() - make_interval(days => $1) AND (
    action = 'rejected' OR undone_at IS NOT NULL OR (action = 'dropped' AND why LIKE 'harmful:%')
);

-- name: index
-- An index by its schema and name: whether it is valid, how large it is.
SELECT indexrelid::bigint AS oid, indisvalid AND indisready AS is_valid, pg_relation_size(indexrelid) AS size_bytes
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = $1 AND relname = $2;

-- name: lock
-- Take the right to change indexes for this session, unless another one has it.
SELECT pg_try_advisory_lock($1);
