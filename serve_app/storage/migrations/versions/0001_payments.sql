-- The first schema. Every table leads with the merchant, so that it can be partitioned by merchant later.
--
-- The hot tables carry no foreign keys: each check is a trigger with a query and a lock on the parent row, and every
-- payment of a merchant would share one lock on the merchant. Their rows are written by single statements that insert
-- parent and child together, the tests replay them, and ledger and audit rows cannot be changed.

-- Statistics of statements, where this role may have them: without them the gateway works all the same.
DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE NOTICE 'pg_stat_statements is not available: %', SQLERRM;
END $$;

CREATE TABLE merchants (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    rate_limit_per_minute integer CHECK (rate_limit_per_minute >= 0),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    id          uuid PRIMARY KEY,
    merchant_id uuid NOT NULL REFERENCES merchants,
    livemode    boolean NOT NULL,
    digest      bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    last4       text NOT NULL,
    scopes      text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);
CREATE INDEX api_keys_by_merchant ON api_keys (merchant_id);

-- Room on each page lets an update stay on it and touch no index (HOT).
CREATE TABLE payments (
    merchant_id     uuid NOT NULL,
    id              uuid NOT NULL,
    livemode        boolean NOT NULL,
    amount          bigint NOT NULL CHECK (amount > 0),
    amount_captured bigint NOT NULL CHECK (amount_captured BETWEEN 0 AND amount),
    amount_refunded bigint NOT NULL CHECK (amount_refunded >= 0),
    amount_refund_pending bigint NOT NULL CHECK (amount_refund_pending >= 0),
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status          text NOT NULL CHECK (status IN ('processing', 'authorized', 'captured', 'partially_refunded',
                                                    'refunded', 'voided', 'declined', 'failed')),
    token           text NOT NULL,
    brand           text NOT NULL,
    last4           text NOT NULL,
    processor       text NOT NULL,
    processor_reference text,
    decline_code    text,
    description     text,
    customer        text,
    metadata        jsonb NOT NULL,
    version         bigint NOT NULL,
    sequence        bigint NOT NULL,
    pending_attempt uuid,
    settlement_id   uuid,
    settled_at      timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id),
    CHECK (amount_refunded + amount_refund_pending <= amount_captured)
) WITH (fillfactor = 70);

CREATE TABLE attempts (
    merchant_id uuid NOT NULL,
    payment_id  uuid NOT NULL,
    id          uuid NOT NULL,
    refund_id   uuid,
    kind        text NOT NULL CHECK (kind IN ('authorize', 'capture', 'void', 'refund')),
    state       text NOT NULL CHECK (state IN ('started', 'unknown', 'succeeded', 'declined', 'failed')),
    amount      bigint NOT NULL CHECK (amount > 0),
    capture     boolean NOT NULL,
    processor   text NOT NULL,
    processor_reference text,
    code        text,
    request_id  text NOT NULL,
    key_id      uuid NOT NULL,
    answer_event uuid,
    started_at  timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (merchant_id, payment_id, id),
    CHECK ((finished_at IS NULL) = (state IN ('started', 'unknown')))
) WITH (fillfactor = 70);
-- What the resolver reads: the open ones alone, oldest deadline first.
CREATE INDEX attempts_open ON attempts (deadline_at) WHERE state IN ('started', 'unknown');

CREATE TABLE refunds (
    merchant_id uuid NOT NULL,
    id          uuid NOT NULL,
    payment_id  uuid NOT NULL,
    amount      bigint NOT NULL CHECK (amount > 0),
    currency    text NOT NULL,
    reason      text,
    status      text NOT NULL CHECK (status IN ('processing', 'succeeded', 'failed')),
    processor_reference text,
    failure_code text,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
) WITH (fillfactor = 70);
CREATE INDEX refunds_by_payment ON refunds (merchant_id, payment_id, id);

-- One row moves one amount from one account to another, so every row, and the sum of any of them in any currency,
-- balances. The key lets an attempt post once.
CREATE TABLE ledger_postings (
    merchant_id uuid NOT NULL,
    payment_id  uuid NOT NULL,
    attempt_id  uuid NOT NULL,
    leg         smallint NOT NULL DEFAULT 0,
    debit       text NOT NULL,
    credit      text NOT NULL,
    amount      bigint NOT NULL CHECK (amount > 0),
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, payment_id, attempt_id, leg),
    CHECK (debit <> credit)
);

CREATE VIEW ledger_entries AS
    SELECT merchant_id, payment_id, attempt_id, leg, debit AS account, amount, currency, created_at FROM ledger_postings
    UNION ALL
    SELECT merchant_id, payment_id, attempt_id, leg, credit, -amount, currency, created_at FROM ledger_postings;

-- `data` is the text of the object as it was answered: a repeated request gets the same bytes.
CREATE TABLE events (
    merchant_id uuid NOT NULL,
    id          uuid NOT NULL,
    livemode    boolean NOT NULL,
    type        text NOT NULL,
    object_id   uuid NOT NULL,
    sequence    bigint NOT NULL,
    data        text NOT NULL,
    created_at  timestamptz NOT NULL,
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (merchant_id, id)
);
COMMENT ON COLUMN events.xid IS
    'The writing transaction: a reader of the feed stops before the oldest one that is still open (pg_snapshot_xmin).';
CREATE UNIQUE INDEX events_by_object ON events (merchant_id, object_id, sequence);

CREATE TABLE audit_entries (
    merchant_id uuid NOT NULL,
    id          uuid NOT NULL,
    livemode    boolean NOT NULL,
    key_id      uuid,
    request_id  text NOT NULL,
    action      text NOT NULL,
    object_id   text NOT NULL,
    result      text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id)
);

CREATE TABLE idempotency_keys (
    merchant_id uuid NOT NULL,
    livemode    boolean NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    payment_id  uuid NOT NULL,
    attempt_id  uuid NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, livemode, key)
);
-- Old keys are removed by age; a block range index costs an insert next to nothing.
CREATE INDEX idempotency_keys_by_age ON idempotency_keys USING brin (created_at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

-- Even a role that owns the tables cannot change the books by accident.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
