-- What batch jobs keep: settlements with the postings that they pay out, and how far each reconciliation and each
-- verification is.

-- Jobs walk the books in the order of time, a page at a time. New rows go to the right edge of this index.
CREATE INDEX ledger_postings_by_time ON ledger_postings (created_at, merchant_id, payment_id, attempt_id);

-- What a merchant pays for each captured payment, from a day on. Without a row the gateway's default holds.
CREATE TABLE fee_schedules (
    merchant_id    uuid NOT NULL,
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    effective_from date NOT NULL,
    basis_points   integer NOT NULL CHECK (basis_points BETWEEN 0 AND 10000),
    fixed_minor    bigint NOT NULL CHECK (fixed_minor BETWEEN 0 AND 999999999999),
    PRIMARY KEY (merchant_id, currency, effective_from)
);
COMMENT ON COLUMN fee_schedules.effective_from IS
    'The first day (UTC) that it holds for. A schedule of a day that is settled, or being settled, is not changed.';

-- The days that were settled, in order and without gaps; at most the last one is not finished.
CREATE TABLE settlement_days (
    day         date PRIMARY KEY,
    phase       text NOT NULL CHECK (phase IN ('collecting', 'closing', 'marking', 'finished')),
    settled_at  timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK ((finished_at IS NULL) = (phase <> 'finished'))
);
COMMENT ON COLUMN settlement_days.phase IS
    'Only while it is collecting may postings come to a settlement of the day; later ones belong to the next day.';

CREATE TABLE settlements (
    merchant_id       uuid NOT NULL,
    id                uuid NOT NULL,
    livemode          boolean NOT NULL,
    currency          text NOT NULL,
    day               date NOT NULL,
    captures          bigint NOT NULL CHECK (captures >= 0),
    refunds           bigint NOT NULL CHECK (refunds >= 0),
    captured_minor    bigint NOT NULL CHECK (captured_minor >= 0),
    refunded_minor    bigint NOT NULL CHECK (refunded_minor >= 0),
    fee_minor         bigint NOT NULL CHECK (fee_minor >= 0),
    carried_in_minor  bigint NOT NULL DEFAULT 0 CHECK (carried_in_minor <= 0),
    payout_minor      bigint NOT NULL DEFAULT 0 CHECK (payout_minor >= 0),
    carried_out_minor bigint NOT NULL DEFAULT 0 CHECK (carried_out_minor <= 0),
    closed_at         timestamptz,
    PRIMARY KEY (merchant_id, id),
    UNIQUE (merchant_id, livemode, currency, day),
    -- What is closed stays as it was paid out: nothing can be added to it.
    CHECK (closed_at IS NULL
        OR carried_in_minor + captured_minor - refunded_minor - fee_minor = payout_minor + carried_out_minor)
) WITH (fillfactor = 50);
CREATE INDEX settlements_by_day ON settlements (day, merchant_id, id);

-- Which settlement a posting belongs to: the key lets each be settled once. Refunds are negative.
CREATE TABLE settlement_items (
    merchant_id   uuid NOT NULL,
    payment_id    uuid NOT NULL,
    attempt_id    uuid NOT NULL,
    settlement_id uuid NOT NULL,
    amount_minor  bigint NOT NULL CHECK (amount_minor <> 0),
    fee_minor     bigint NOT NULL CHECK (fee_minor >= 0),
    PRIMARY KEY (merchant_id, payment_id, attempt_id)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One walk of a job over many rows: where it is, what it has counted so far. Both move in the transaction of a page.
CREATE TABLE job_runs (
    id          uuid PRIMARY KEY,
    job         text NOT NULL,
    subject     text NOT NULL,
    phase       text NOT NULL,
    position    jsonb NOT NULL,
    counts      jsonb NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    UNIQUE (job, subject)
) WITH (fillfactor = 50);
COMMENT ON COLUMN job_runs.subject IS 'What it is about, such as the digest of a report: a job does the same one once.';

-- What a run found to be wrong, numbered when it ends.
CREATE TABLE job_exceptions (
    run_id      uuid NOT NULL,
    kind        text NOT NULL,
    subject     text NOT NULL,
    number      integer CHECK (number > 0),
    detail      jsonb NOT NULL,
    PRIMARY KEY (run_id, kind, subject)
);
CREATE UNIQUE INDEX job_exceptions_by_number ON job_exceptions (run_id, number);

-- The lines of an acquirer's report that no posting of ours has met yet; empty while no reconciliation runs.
CREATE TABLE reconciliation_entries (
    run_id       uuid NOT NULL,
    attempt      text NOT NULL,
    line         bigint NOT NULL,
    kind         text NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    reference    text NOT NULL,
    PRIMARY KEY (run_id, attempt)
);
