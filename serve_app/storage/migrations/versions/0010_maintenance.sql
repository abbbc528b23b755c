-- What was done to look after the database, and why. Ids are UUIDv7: the order of time.
CREATE TABLE maintenance_journal (
    id          uuid PRIMARY KEY DEFAULT new_uuid7(),
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    action      text NOT NULL,
    target      text NOT NULL,
    ordered_by  text NOT NULL CHECK (ordered_by IN ('schedule', 'hand')),
    urgency     text NOT NULL CHECK (urgency IN ('idle', 'due', 'urgent')),
    reason      text NOT NULL,
    statement   text NOT NULL,
    before      jsonb NOT NULL,
    after       jsonb,
    seconds     float8,
    outcome     text NOT NULL DEFAULT 'running' CHECK (outcome IN ('running', 'done', 'failed', 'interrupted')),
    error       text,
    CHECK ((outcome = 'running') = (seconds IS NULL))
);
COMMENT ON COLUMN maintenance_journal.before IS 'The figures that it was decided on.';
