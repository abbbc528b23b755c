-- name: list_merchants
-- A page of the merchants that have payments. Each is one descent of the index, however many payments it has.
WITH RECURSIVE found AS (
    (SELECT merchant_id, 1 AS number FROM payments WHERE merchant_id > $1 ORDER BY merchant_id LIMIT 1)
    UNION ALL
    SELECT following.merchant_id, number + 1 FROM found CROSS JOIN LATERAL (
        SELECT merchant_id FROM payments WHERE merchant_id > found.merchant_id ORDER BY merchant_id LIMIT 1
    ) AS following
    WHERE number < $2
)
SELECT merchant_id FROM found;

-- name: first_payment
-- The first payment of these merchants.
SELECT first.id FROM unnest($1::uuid[]) AS wanted (merchant_id) CROSS JOIN LATERAL (
    SELECT id FROM payments WHERE payments.merchant_id = wanted.merchant_id ORDER BY id LIMIT 1
) AS first ORDER BY first.id LIMIT 1;

-- name: merchants_of_payments
-- Which of these merchants have payments of a range of ids.
SELECT merchant_id FROM unnest($1::uuid[]) AS wanted (merchant_id) WHERE EXISTS (
    SELECT FROM payments WHERE payments.merchant_id = wanted.merchant_id AND id >= $2 AND id < $3)
ORDER BY merchant_id;

-- name: merchants_of_refunds
-- Which of these merchants have refunds of a range of ids.
SELECT merchant_id FROM unnest($1::uuid[]) AS wanted (merchant_id) WHERE EXISTS (
    SELECT FROM refunds WHERE refunds.merchant_id = wanted.merchant_id AND id >= $2 AND id < $3)
ORDER BY merchant_id;

-- name: merchants_of_events
-- Which of these merchants have events of a range of ids.
SELECT merchant_id FROM unnest($1::uuid[]) AS wanted (merchant_id) WHERE EXISTS (
    SELECT FROM events WHERE events.merchant_id = wanted.merchant_id AND id >= $2 AND id < $3)
ORDER BY merchant_id;

-- name: payments
-- A page of a merchant's payments in a range of ids. The token of the card stays here.
SELECT id AS key, 'pay_' || replace(id::text, '-', '') AS id, 'mer_' || replace(merchant_id::text, '-', '') AS merchant,
    livemode, amount, amount_captured, amount_refunded, currency, status, brand, last4, processor, processor_reference,
    decline_code, description, customer, metadata::text AS metadata, version,
    'set_' || replace(settlement_id::text, '-', '') AS settlement, settled_at, created_at, updated_at
FROM payments WHERE merchant_id = $1 AND id >= $2 AND id < $3 ORDER BY payments.id LIMIT $4;

-- name: refunds
-- A page of a merchant's refunds in a range of ids.
SELECT id AS key, 'rf_' || replace(id::text, '-', '') AS id, 'mer_' || replace(merchant_id::text, '-', '') AS merchant,
    'pay_' || replace(payment_id::text, '-', '') AS payment, amount, currency, reason, status, processor_reference,
    failure_code, created_at, updated_at
FROM refunds WHERE merchant_id = $1 AND id >= $2 AND id < $3 ORDER BY refunds.id LIMIT $4;

-- name: events
-- A page of a merchant's events in a range of ids.
SELECT id AS key, 'evt_' || replace(id::text, '-', '') AS id, 'mer_' || replace(merchant_id::text, '-', '') AS merchant,
    livemode, type, replace(object_id::text, '-', '') AS object_id, sequence, data, created_at
FROM events WHERE merchant_id = $1 AND id >= $2 AND id < $3 ORDER BY events.id LIMIT $4;

-- name: replica_is_behind
-- Whether this server is a standby that has not yet replayed what was committed at a moment, and may have to: it has
-- not replayed all it has, or it does not hear of the primary.
SELECT pg_is_in_recovery() AND coalesce(pg_last_xact_replay_timestamp() < $1, true) AND (
    pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn() OR NOT EXISTS (
        SELECT FROM pg_stat_wal_receiver
        WHERE status = 'streaming' AND last_msg_receipt_time > clock_timestamp() - interval '1 minute'
    )
) AS is_behind;
