-- A processor names an attempt by its id alone. Only the open ones are looked for, so this stays small.
CREATE INDEX attempts_open_by_id ON attempts (id) WHERE state IN ('started', 'unknown');

-- Null but for payments that wait to be captured. An index by status would cost every payment: no update of a status
-- could stay on its page without touching an index (HOT). This column does not change for those that are taken at once.
ALTER TABLE payments ADD COLUMN authorized_at timestamptz;
COMMENT ON COLUMN payments.authorized_at IS 'Since when it is authorized and neither captured nor voided.';
UPDATE payments SET authorized_at = updated_at WHERE status = 'authorized';
CREATE INDEX payments_authorized ON payments (authorized_at, merchant_id, id) WHERE authorized_at IS NOT NULL;

-- Events are only appended, so what is written at one time lies together and a block range index finds it, at next to
-- no cost for the insert. There is no class of such indexes for xid8: its number as bigint has one.
CREATE INDEX events_by_xid ON events USING brin (((xid::text)::bigint)) WITH (autosummarize = on);

-- How far the check of the ledger has come: every event of a transaction before `position` was looked at.
CREATE TABLE ledger_checks (
    name        text PRIMARY KEY,
    position    bigint NOT NULL,
    moved_at    timestamptz NOT NULL DEFAULT now()
);
INSERT INTO ledger_checks (name, position) VALUES ('payments', 0);

-- Payments that say something else than their postings. No row is deleted: one that agrees again is resolved.
CREATE TABLE ledger_discrepancies (
    merchant_id     uuid NOT NULL,
    payment_id      uuid NOT NULL,
    livemode        boolean,
    currency        text,
    payment_captured bigint,
    payment_refunded bigint,
    ledger_captured bigint NOT NULL,
    ledger_refunded bigint NOT NULL,
    other_currencies integer NOT NULL,
    found_at        timestamptz NOT NULL DEFAULT now(),
    checked_at      timestamptz NOT NULL DEFAULT now(),
    resolved_at     timestamptz,
    PRIMARY KEY (merchant_id, payment_id)
);
COMMENT ON COLUMN ledger_discrepancies.payment_captured IS 'Null, as all of the payment, where there is no such payment.';
CREATE INDEX ledger_discrepancies_open ON ledger_discrepancies (found_at, merchant_id, payment_id)
    WHERE resolved_at IS NULL;
