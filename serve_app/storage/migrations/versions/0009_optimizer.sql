-- Who owns the query optimizer: nothing is written to its journal under an earlier epoch.
CREATE TABLE optimizer_epochs (
    name    text PRIMARY KEY,
    epoch   bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- What the query optimizer did and why, with the statement that undoes it.
CREATE TABLE optimizer_journal (
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
COMMENT ON COLUMN optimizer_journal.before_ms IS 'What the statements that it is about took together, weighted by their calls.';
