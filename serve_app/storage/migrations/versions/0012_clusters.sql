-- Few rows, each written once a second. The time is this server's alone: no two machines' clocks are ever compared.
CREATE TABLE clusters (
    name         text PRIMARY KEY,
    id           uuid NOT NULL,
    joined       bigint NOT NULL UNIQUE,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    budget       integer NOT NULL CHECK (budget > 0),
    held         integer NOT NULL DEFAULT 0 CHECK (held >= 0),
    acknowledged bigint NOT NULL DEFAULT 0,
    reign        bigint
) WITH (fillfactor = 50);
COMMENT ON COLUMN clusters.name IS 'What the names of its connections begin with.';
COMMENT ON COLUMN clusters.id IS 'Of one life of its pool manager.';
COMMENT ON COLUMN clusters.seen_at IS 'When it beat last: some seconds later it counts as dead, and is removed.';
COMMENT ON COLUMN clusters.held IS 'How many connections it may have: all together never more than the least budget.';
COMMENT ON COLUMN clusters.acknowledged IS
    'It serves nothing from a cache since it knows of the cluster that joined with this number, and of all before.';
COMMENT ON COLUMN clusters.reign IS 'The time in which it is alone, by its number: the caches may be served.';

-- Numbers rise for ever, also where all clusters are gone.
CREATE TABLE cluster_numbers (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    last    bigint NOT NULL
);
INSERT INTO cluster_numbers (last) VALUES (0);

ALTER TABLE cache_epochs ADD COLUMN reign bigint;
COMMENT ON COLUMN cache_epochs.reign IS
    'The reign of its cluster in which the namespace was filled: under any other it is left and never read again.';
