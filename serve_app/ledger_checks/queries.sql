-- name: find_position
-- How far the check has come, and the first transaction that may still be open: what those before it wrote is visible.
SELECT position, moved_at, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon
FROM ledger_checks WHERE name = 'payments';

-- name: list_changed
-- The payments that transactions from $1 on and before `next` have changed. `next` is $2, or less where that would be
-- more than $3 events; one transaction's events are never parted.
WITH past AS MATERIALIZED (
    SELECT (xid::text)::bigint AS position FROM events
    WHERE (xid::text)::bigint >= $1 AND (xid::text)::bigint < $2
    ORDER BY 1 OFFSET $3 LIMIT 1
), bound AS MATERIALIZED (
    SELECT greatest(coalesce((SELECT position FROM past), $2), $1 + 1) AS next
)
SELECT bound.next, changed.merchant_id, changed.payment_id
FROM bound LEFT JOIN LATERAL (
    SELECT DISTINCT merchant_id, object_id AS payment_id FROM events
    WHERE (xid::text)::bigint >= $1 AND (xid::text)::bigint < bound.next AND type LIKE 'payment.%'
) AS changed ON true;

-- name: compare
-- Compare payments with the sums of their postings, in one snapshot; keep those that differ, and resolve those that did
-- and agree now. Returns those that differ and were not known to.
WITH input AS MATERIALIZED (
    SELECT DISTINCT merchant_id, payment_id FROM unnest($1::uuid[], $2::uuid[]) AS item (merchant_id, payment_id)
), compared AS MATERIALIZED (
    SELECT input.merchant_id, input.payment_id, payments.livemode, payments.currency, payments.amount_captured,
        payments.amount_refunded, coalesce(ledger.captured, 0) AS captured, coalesce(ledger.refunded, 0) AS refunded,
        ledger.others, known.payment_id IS NOT NULL AS is_known,
        payments.amount_captured IS DISTINCT FROM coalesce(ledger.captured, 0)
            OR payments.amount_refunded IS DISTINCT FROM coalesce(ledger.refunded, 0) OR ledger.others > 0 AS differs
    FROM input
    LEFT JOIN payments ON payments.merchant_id = input.merchant_id AND payments.id = input.payment_id
    LEFT JOIN ledger_discrepancies AS known ON known.merchant_id = input.merchant_id
        AND known.payment_id = input.payment_id AND known.resolved_at IS NULL
    CROSS JOIN LATERAL (
        SELECT sum(amount) FILTER (WHERE debit = 'processor_receivable' AND credit = 'merchant_payable') AS captured,
            sum(amount) FILTER (WHERE debit = 'merchant_payable' AND credit = 'processor_receivable') AS refunded,
            count(*) FILTER (WHERE posting.currency <> payments.currency) AS others
        FROM ledger_postings AS posting
        WHERE posting.merchant_id = input.merchant_id AND posting.payment_id = input.payment_id
    ) AS ledger
), kept AS (
    INSERT INTO ledger_discrepancies AS stored (
        merchant_id, payment_id, livemode, currency, payment_captured, payment_refunded, ledger_captured,
        ledger_refunded, other_currencies)
    SELECT merchant_id, payment_id, livemode, currency, amount_captured, amount_refunded, captured, refunded, others
    FROM compared WHERE differs ORDER BY merchant_id, payment_id
    ON CONFLICT (merchant_id, payment_id) DO UPDATE SET
        livemode = excluded.livemode, currency = excluded.currency, payment_captured = excluded.payment_captured,
        payment_refunded = excluded.payment_refunded, ledger_captured = excluded.ledger_captured,
        ledger_refunded = excluded.ledger_refunded, other_currencies = excluded.other_currencies,
        found_at = CASE WHEN stored.resolved_at IS NULL THEN stored.found_at ELSE now() END,
        checked_at = now(), resolved_at = NULL
), mended AS (
    UPDATE ledger_discrepancies SET resolved_at = now(), checked_at = now()
    FROM compared
    WHERE compared.is_known AND NOT compared.differs AND ledger_discrepancies.merchant_id = compared.merchant_id
        AND ledger_discrepancies.payment_id = compared.payment_id
)
SELECT merchant_id, payment_id, currency, amount_captured, amount_refunded, captured, refunded
FROM compared WHERE differs AND NOT is_known;

-- name: move_position
-- Remember how far the check has come, unless another run has moved it.
UPDATE ledger_checks SET position = $2, moved_at = now() WHERE name = 'payments' AND position = $1;

-- name: list_open
-- The discrepancies that are not resolved, longest known first.
SELECT * FROM ledger_discrepancies WHERE resolved_at IS NULL ORDER BY found_at, merchant_id, payment_id LIMIT $1;
