-- name: find_payments
-- Payments by id, each only for the merchant and mode that asks.
SELECT input.ordinal::int, payments.*
FROM unnest($1::uuid[], $2::boolean[], $3::uuid[]) WITH ORDINALITY AS input (merchant_id, livemode, payment_id, ordinal)
JOIN payments ON payments.merchant_id = input.merchant_id AND payments.id = input.payment_id
    AND payments.livemode = input.livemode;

-- name: list_payments
-- A page of a merchant's payments, newest first. Ids sort by time, so the page and the times are ranges of one index.
SELECT * FROM payments
WHERE merchant_id = $1 AND livemode = $2 AND id < $3 AND id >= $4
    AND ($5::text IS NULL OR status = $5)
    AND ($6::timestamptz IS NULL OR created_at >= $6) AND ($7::timestamptz IS NULL OR created_at < $7)
ORDER BY id DESC LIMIT $8;

-- name: update_payments
-- Change what a merchant may change at any time, if the payment is still at the version that was read, with its event,
-- the deliveries of that with their tasks, and the audit entry. Returns the rows that were changed, and whether a task
-- waits for them.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::jsonb[], $7::timestamptz[], $8::uuid[],
        $9::text[], $10::text[], $11::uuid[], $12::text[], $13::uuid[], $14::text[], $15::boolean[]
    ) WITH ORDINALITY AS item (
        merchant_id, payment_id, version, sequence, description, metadata, updated_at, event_id,
        event_type, event_data, audit_id, audit_object, key_id, request_id, livemode, ordinal
    )
), changed AS (
    UPDATE payments SET
        version = input.version, sequence = input.sequence, description = input.description,
        metadata = input.metadata, updated_at = input.updated_at
    FROM input
    WHERE payments.merchant_id = input.merchant_id AND payments.id = input.payment_id
        AND payments.version = input.version - 1
    RETURNING input.*
), telling AS (
    INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at)
    SELECT merchant_id, event_id, livemode, event_type, payment_id, sequence, event_data, updated_at FROM changed
    RETURNING merchant_id, id, livemode, type, created_at
), delivering AS (
    INSERT INTO webhook_deliveries (
        merchant_id, id, livemode, endpoint_id, event_id, event_type, next_try_at, created_at)
    SELECT telling.merchant_id, new_uuid7(), telling.livemode, endpoint.id, telling.id, telling.type,
        telling.created_at, telling.created_at
    FROM telling JOIN webhook_endpoints AS endpoint ON endpoint.merchant_id = telling.merchant_id
        AND endpoint.livemode = telling.livemode AND endpoint.enabled AND endpoint.events && ARRAY['*', telling.type]
    RETURNING merchant_id, id, endpoint_id, event_id
), queueing AS (
    INSERT INTO tasks (id, name, owner, lane, arguments)
    SELECT id, 'webhooks.deliver', merchant_id::text, endpoint_id::text,
        format('{"merchant_id":"%s","delivery_id":"%s","round":1}', merchant_id, id)
    FROM delivering
), auditing AS (
    INSERT INTO audit_entries (
        merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, audit_id, livemode, key_id, request_id, 'payment.update', audit_object, 'succeeded', updated_at
    FROM changed
)
SELECT ordinal::int, event_id IN (SELECT event_id FROM delivering) AS queued FROM changed;

-- name: timeline_attempts
-- Every attempt of a payment.
SELECT id, kind, state, amount, processor, processor_reference, code, refund_id, started_at, finished_at
FROM attempts WHERE merchant_id = $1 AND payment_id = $2 ORDER BY id LIMIT $3;

-- name: timeline_postings
-- Every posting of a payment.
SELECT attempt_id, debit, credit, amount, currency, created_at
FROM ledger_postings WHERE merchant_id = $1 AND payment_id = $2 ORDER BY created_at, attempt_id LIMIT $3;

-- name: timeline_events
-- Every event of a payment and of its refunds.
SELECT id, type, object_id, sequence, data, created_at FROM events
WHERE merchant_id = $1 AND object_id IN (
    SELECT $2::uuid UNION ALL SELECT id FROM refunds WHERE merchant_id = $1 AND payment_id = $2)
ORDER BY created_at, sequence LIMIT $3;

-- name: timeline_deliveries
-- Every delivery of the events of a payment and of its refunds.
SELECT delivery.id, delivery.endpoint_id, delivery.event_id, delivery.status, delivery.created_at
FROM webhook_deliveries AS delivery
WHERE delivery.merchant_id = $1 AND delivery.event_id IN (
    SELECT id FROM events WHERE merchant_id = $1 AND object_id IN (
        SELECT $2::uuid UNION ALL SELECT id FROM refunds WHERE merchant_id = $1 AND payment_id = $2))
ORDER BY delivery.created_at, delivery.id LIMIT $3;

-- name: timeline_tries
-- Every try to deliver them.
SELECT try.delivery_id, delivery.endpoint_id, delivery.event_id, try.response_code, try.error, try.duration_ms,
    try.started_at, try.next_try_at
FROM webhook_deliveries AS delivery JOIN webhook_tries AS try
    ON try.merchant_id = delivery.merchant_id AND try.delivery_id = delivery.id
WHERE delivery.merchant_id = $1 AND delivery.event_id IN (
    SELECT id FROM events WHERE merchant_id = $1 AND object_id IN (
        SELECT $2::uuid UNION ALL SELECT id FROM refunds WHERE merchant_id = $1 AND payment_id = $2))
ORDER BY try.started_at, try.id LIMIT $3;
