-- Every range is one of a merchant's ids: of ranges over two columns the planner believes that they hold a large part
-- of the table, and reads all of it.

-- name: next_merchant
-- The first merchant after one that has anything. Each of these is one descent of an index.
SELECT least(
    (SELECT merchant_id FROM payments WHERE merchant_id > $1 ORDER BY merchant_id LIMIT 1),
    (SELECT merchant_id FROM attempts WHERE merchant_id > $1 ORDER BY merchant_id LIMIT 1),
    (SELECT merchant_id FROM ledger_postings WHERE merchant_id > $1 ORDER BY merchant_id LIMIT 1),
    (SELECT merchant_id FROM events WHERE merchant_id > $1 ORDER BY merchant_id LIMIT 1)
) AS merchant_id;

-- name: payments_after
-- A page of a merchant's payments.
SELECT * FROM payments WHERE merchant_id = $1 AND id > $2 ORDER BY id LIMIT $3;

-- name: attempts_between
-- The attempts of a merchant's payments after one id and up to another, those that have no payment included.
SELECT merchant_id, payment_id, id, kind, state, amount, capture, processor, processor_reference, code, refund_id,
    started_at, finished_at
FROM attempts WHERE merchant_id = $1 AND payment_id > $2 AND payment_id <= $3;

-- name: postings_between
-- The postings of that range, each with its settlement; also those of settlements themselves, under their own id.
SELECT posting.merchant_id, posting.payment_id, posting.attempt_id, posting.leg, debit, credit, amount,
    posting.currency, posting.created_at, item.settlement_id, item.amount_minor AS settled_minor,
    coalesce(day.phase = 'finished', false) AS is_paid
FROM ledger_postings AS posting
LEFT JOIN settlement_items AS item ON item.merchant_id = posting.merchant_id AND item.payment_id = posting.payment_id
    AND item.attempt_id = posting.attempt_id
LEFT JOIN settlements AS settlement ON settlement.merchant_id = item.merchant_id AND settlement.id = item.settlement_id
LEFT JOIN settlement_days AS day ON day.day = settlement.day
WHERE posting.merchant_id = $1 AND posting.payment_id > $2 AND posting.payment_id <= $3;

-- name: refunds_between
-- The refunds of the payments of that range.
SELECT merchant_id, payment_id, id, amount, currency, status, processor_reference, failure_code
FROM refunds WHERE merchant_id = $1 AND payment_id > $2 AND payment_id <= $3;

-- name: events_between
-- The events about payments and refunds whose ids are in that range; of each payment's newest one also what it says.
-- That theirs are in it too follows, but the planner does not see it, and reads all of a merchant's refunds.
SELECT event.merchant_id, event.object_id, event.sequence, event.type, payment.id IS NOT NULL AS is_of_payment,
    CASE WHEN event.sequence = payment.sequence THEN event.data END AS data,
    payment.id IS NULL AND refund.id IS NULL AS is_of_nothing
FROM events AS event
LEFT JOIN payments AS payment ON payment.merchant_id = event.merchant_id AND payment.id = event.object_id
    AND payment.id > $2 AND payment.id <= $3
LEFT JOIN refunds AS refund ON payment.id IS NULL AND refund.merchant_id = event.merchant_id
    AND refund.id = event.object_id AND refund.id > $2 AND refund.id <= $3
WHERE event.merchant_id = $1 AND event.object_id > $2 AND event.object_id <= $3
    AND (event.type LIKE 'payment.%' OR event.type LIKE 'refund.%');

-- name: refund_events
-- The events of a merchant's refunds by id.
SELECT object_id, sequence, type FROM events WHERE merchant_id = $1 AND object_id = ANY($2::uuid[]);

-- name: settlements_between
-- The closed settlements of that range that the books know otherwise, or that do not add up.
SELECT settlement.merchant_id, settlement.id, settlement.fee_minor, settlement.payout_minor,
    fee.amount AS fee_posted, payout.amount AS payout_posted
FROM settlements AS settlement
LEFT JOIN ledger_postings AS fee ON fee.merchant_id = settlement.merchant_id AND fee.payment_id = settlement.id
    AND fee.attempt_id = settlement.id AND fee.leg = 0 AND fee.debit = 'merchant_payable' AND fee.credit = 'fee_income'
    AND fee.currency = settlement.currency
LEFT JOIN ledger_postings AS payout ON payout.merchant_id = settlement.merchant_id
    AND payout.payment_id = settlement.id AND payout.attempt_id = settlement.id AND payout.leg = 1
    AND payout.debit = 'merchant_payable' AND payout.credit = 'bank' AND payout.currency = settlement.currency
WHERE settlement.merchant_id = $1 AND settlement.id > $2 AND settlement.id <= $3
    AND settlement.closed_at IS NOT NULL
    AND (coalesce(fee.amount, 0) <> settlement.fee_minor OR coalesce(payout.amount, 0) <> settlement.payout_minor);

-- name: known_settlements
-- Which of these ids are settlements of a merchant.
SELECT id FROM settlements WHERE merchant_id = $1 AND id = ANY($2::uuid[]);

-- name: last_settled_day
-- The last day that was settled to its end.
SELECT max(day) AS day FROM settlement_days WHERE phase = 'finished';

-- name: estimate_payments
-- How many payments there are, about.
SELECT greatest(reltuples, 0)::bigint AS count FROM pg_class WHERE oid = 'payments'::regclass;
