-- name: payments_after
-- A page of payments by key.
SELECT * FROM payments WHERE (merchant_id, id) > ($1, $2) ORDER BY merchant_id, id LIMIT $3;

-- name: attempts_between
-- The attempts of all payments after one key and up to another, those that have no payment included.
SELECT merchant_id, payment_id, id, kind, state, amount, capture, processor, processor_reference, code, refund_id,
    started_at, finished_at
FROM attempts WHERE (merchant_id, payment_id) > ($1, $2) AND (merchant_id, payment_id) <= ($3, $4);

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
WHERE (posting.merchant_id, posting.payment_id) > ($1, $2) AND (posting.merchant_id, posting.payment_id) <= ($3, $4);

-- name: refunds_between
-- The refunds of the payments of that range.
SELECT merchant_id, payment_id, id, amount, currency, status, processor_reference, failure_code
FROM refunds WHERE (merchant_id, payment_id) > ($1, $2) AND (merchant_id, payment_id) <= ($3, $4);

-- name: events_between
-- The events about payments and refunds whose ids are in that range; of each payment's newest one also what it says.
SELECT event.merchant_id, event.object_id, event.sequence, event.type, payment.id IS NOT NULL AS is_of_payment,
    CASE WHEN event.sequence = payment.sequence THEN event.data END AS data,
    payment.id IS NULL AND refund.id IS NULL AS is_of_nothing
FROM events AS event
LEFT JOIN payments AS payment ON payment.merchant_id = event.merchant_id AND payment.id = event.object_id
LEFT JOIN refunds AS refund ON payment.id IS NULL
    AND refund.merchant_id = event.merchant_id AND refund.id = event.object_id
WHERE (event.merchant_id, event.object_id) > ($1, $2) AND (event.merchant_id, event.object_id) <= ($3, $4)
    AND (event.type LIKE 'payment.%' OR event.type LIKE 'refund.%');

-- name: refund_events
-- The events of refunds by id.
SELECT event.object_id, event.sequence, event.type
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (merchant_id, refund_id)
JOIN events AS event ON event.merchant_id = wanted.merchant_id AND event.object_id = wanted.refund_id;

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
WHERE (settlement.merchant_id, settlement.id) > ($1, $2) AND (settlement.merchant_id, settlement.id) <= ($3, $4)
    AND settlement.closed_at IS NOT NULL
    AND (coalesce(fee.amount, 0) <> settlement.fee_minor OR coalesce(payout.amount, 0) <> settlement.payout_minor);

-- name: known_settlements
-- Which of these ids are settlements.
SELECT settlements.id FROM unnest($1::uuid[], $2::uuid[]) AS wanted (merchant_id, id)
JOIN settlements ON settlements.merchant_id = wanted.merchant_id AND settlements.id = wanted.id;

-- name: last_settled_day
-- The last day that was settled to its end.
SELECT max(day) AS day FROM settlement_days WHERE phase = 'finished';

-- name: estimate_payments
-- How many payments there are, about.
SELECT greatest(reltuples, 0)::bigint AS count FROM pg_class WHERE oid = 'payments'::regclass;
