-- name: begin_payments
-- Record new payments with their attempts, and claim their idempotency keys. Returns every row, and whether it was
-- recorded; a key that was claimed before records nothing.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::boolean[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[], $13::jsonb[], $14::boolean[], $15::float8[], $16::text[], $17::uuid[],
        $18::text[], $19::bytea[], $20::timestamptz[]
    ) WITH ORDINALITY AS item (
        merchant_id, payment_id, attempt_id, livemode, amount, currency, token, brand, last4,
        processor, description, customer, metadata, capture, timeout_s, request_id, key_id,
        key, fingerprint, created_at, ordinal
    )
), claimed AS (
    INSERT INTO idempotency_keys (merchant_id, livemode, key, fingerprint, payment_id, attempt_id, created_at)
    SELECT merchant_id, livemode, key, fingerprint, payment_id, attempt_id, created_at
    FROM input WHERE key IS NOT NULL ORDER BY merchant_id, livemode, key
    ON CONFLICT DO NOTHING
    RETURNING attempt_id
), accepted AS MATERIALIZED (
    SELECT * FROM input WHERE key IS NULL OR attempt_id IN (SELECT attempt_id FROM claimed)
), paid AS (
    INSERT INTO payments (
        merchant_id, id, livemode, amount, amount_captured, amount_refunded, amount_refund_pending, currency, status,
        token, brand, last4, processor, description, customer, metadata, version, sequence, pending_attempt,
        created_at, updated_at)
    SELECT merchant_id, payment_id, livemode, amount, 0, 0, 0, currency, 'processing',
        token, brand, last4, processor, description, customer, metadata, 1, 0, attempt_id, created_at, created_at
    FROM accepted
), attempted AS (
    INSERT INTO attempts (
        merchant_id, payment_id, id, kind, state, amount, capture, processor, request_id, key_id, started_at, deadline_at)
    SELECT merchant_id, payment_id, attempt_id, 'authorize', 'started', amount, capture, processor, request_id, key_id,
        created_at, now() + make_interval(secs => timeout_s)
    FROM accepted
)
SELECT input.ordinal::int, accepted.attempt_id IS NOT NULL AS accepted
FROM input LEFT JOIN accepted USING (ordinal);

-- name: begin_operations
-- Reserve what captures, voids and refunds need, if the payment is still at the version that was decided on, and
-- record their attempts. Returns the rows that were recorded. A key that was claimed before is a unique violation.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::boolean[], $5::bigint[], $6::bigint[], $7::uuid[], $8::text[],
        $9::bigint[], $10::text[], $11::float8[], $12::text[], $13::uuid[], $14::text[], $15::bytea[],
        $16::uuid[], $17::text[], $18::text[], $19::timestamptz[]
    ) WITH ORDINALITY AS item (
        merchant_id, payment_id, attempt_id, livemode, version, refund_pending, pending_attempt, kind,
        amount, processor, timeout_s, request_id, key_id, key, fingerprint,
        refund_id, currency, reason, created_at, ordinal
    )
), reserved AS (
    UPDATE payments SET
        version = input.version, amount_refund_pending = input.refund_pending,
        pending_attempt = input.pending_attempt, updated_at = input.created_at
    FROM input
    WHERE payments.merchant_id = input.merchant_id AND payments.id = input.payment_id
        AND payments.version = input.version - 1
    RETURNING input.*
), attempted AS (
    INSERT INTO attempts (
        merchant_id, payment_id, id, refund_id, kind, state, amount, capture, processor, request_id, key_id,
        started_at, deadline_at)
    SELECT merchant_id, payment_id, attempt_id, refund_id, kind, 'started', amount, false, processor, request_id, key_id,
        created_at, now() + make_interval(secs => timeout_s)
    FROM reserved
), refunding AS (
    INSERT INTO refunds (
        merchant_id, id, payment_id, amount, currency, reason, status, created_at, updated_at)
    SELECT merchant_id, refund_id, payment_id, amount, currency, reason, 'processing', created_at, created_at
    FROM reserved WHERE refund_id IS NOT NULL
), claimed AS (
    INSERT INTO idempotency_keys (merchant_id, livemode, key, fingerprint, payment_id, attempt_id, created_at)
    SELECT merchant_id, livemode, key, fingerprint, payment_id, attempt_id, created_at
    FROM reserved WHERE key IS NOT NULL
)
SELECT ordinal::int FROM reserved;

-- name: conclude
-- Record outcomes, each on condition that its payment is still at the version that was decided on and its attempt
-- still open: the attempt, the payment, the refund, the posting, the events, their deliveries to the merchant's
-- webhook endpoints with a task for each, and the audit entry. Returns the rows that were recorded, and whether a task
-- waits for them. Every conclusion raises the version, so of two at once the second finds another version. What the
-- attempt and the payment say already is not sent again: each array costs its encoding for every payment.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
        $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::uuid[],
        $15::text[], $16::text[], $17::text[], $18::text[], $19::bigint[],
        $20::uuid[], $21::text[], $22::text[], $23::uuid[], $24::text[], $25::uuid[], $26::text[], $27::text[]
    ) WITH ORDINALITY AS item (
        merchant_id, payment_id, attempt_id, attempt_state, reference, code, concluded_at,
        version, sequence, status, captured, refunded, refund_pending, pending_attempt,
        payment_reference, decline_code, debit, credit, posted,
        event_id, event_type, event_data, refund_event_id, refund_event_data, audit_id, audit_action,
        trace, ordinal
    )
), moved AS (
    UPDATE payments SET
        version = input.version, sequence = input.sequence, status = input.status, amount_captured = input.captured,
        amount_refunded = input.refunded, amount_refund_pending = input.refund_pending,
        pending_attempt = input.pending_attempt, processor_reference = input.payment_reference,
        decline_code = input.decline_code, updated_at = input.concluded_at,
        -- Null before and after for payments that are taken at once: then the update touches no index (HOT).
        authorized_at = CASE WHEN input.status = 'authorized'
            THEN coalesce(payments.authorized_at, input.concluded_at) END
    FROM input JOIN attempts ON attempts.merchant_id = input.merchant_id
        AND attempts.payment_id = input.payment_id AND attempts.id = input.attempt_id
    WHERE payments.merchant_id = input.merchant_id AND payments.id = input.payment_id
        AND payments.version = input.version - 1 AND attempts.state IN ('started', 'unknown')
    RETURNING input.*, payments.livemode, payments.currency, attempts.refund_id, attempts.key_id, attempts.request_id
), finished AS (
    UPDATE attempts SET
        state = moved.attempt_state, processor_reference = moved.reference, code = moved.code,
        finished_at = moved.concluded_at, answer_event = coalesce(moved.refund_event_id, moved.event_id)
    FROM moved
    WHERE attempts.merchant_id = moved.merchant_id AND attempts.payment_id = moved.payment_id
        AND attempts.id = moved.attempt_id
), refunding AS (
    UPDATE refunds SET
        status = CASE WHEN moved.attempt_state = 'succeeded' THEN 'succeeded' ELSE 'failed' END,
        processor_reference = moved.reference,
        failure_code = CASE WHEN moved.attempt_state = 'succeeded' THEN NULL ELSE moved.code END,
        updated_at = moved.concluded_at
    FROM moved WHERE refunds.merchant_id = moved.merchant_id AND refunds.id = moved.refund_id
), posting AS (
    INSERT INTO ledger_postings (merchant_id, payment_id, attempt_id, debit, credit, amount, currency, created_at)
    SELECT merchant_id, payment_id, attempt_id, debit, credit, posted, currency, concluded_at
    FROM moved WHERE posted IS NOT NULL
), telling AS (
    INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at)
    SELECT merchant_id, event_id, livemode, event_type, payment_id, sequence, event_data, concluded_at FROM moved
    UNION ALL
    SELECT merchant_id, refund_event_id, livemode,
        CASE WHEN attempt_state = 'succeeded' THEN 'refund.succeeded' ELSE 'refund.failed' END,
        refund_id, 1, refund_event_data, concluded_at
    FROM moved WHERE refund_id IS NOT NULL
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
    INSERT INTO tasks (id, name, owner, lane, arguments, trace)
    SELECT delivering.id, 'webhooks.deliver', delivering.merchant_id::text, endpoint_id::text,
        format('{"merchant_id":"%s","delivery_id":"%s","round":1}', delivering.merchant_id, delivering.id), moved.trace
    FROM delivering JOIN moved ON delivering.event_id IN (moved.event_id, moved.refund_event_id)
), auditing AS (
    INSERT INTO audit_entries (
        merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, audit_id, livemode, nullif(key_id, '00000000-0000-0000-0000-000000000000'), request_id,
        audit_action,
        CASE WHEN refund_id IS NULL THEN 'pay_' || replace(payment_id::text, '-', '')
            ELSE 'rf_' || replace(refund_id::text, '-', '') END,
        attempt_state, concluded_at
    FROM moved
)
SELECT ordinal::int, event_id IN (SELECT event_id FROM delivering)
    OR (refund_event_id IS NOT NULL AND refund_event_id IN (SELECT event_id FROM delivering)) AS queued
FROM moved;

-- name: find_claims
-- What idempotency keys stand for: the fingerprint of their request, and the answer where there is one.
SELECT input.ordinal::int, claim.fingerprint, claim.payment_id, claim.attempt_id, attempt.refund_id, attempt.state, attempt.code,
    event.data
FROM unnest($1::uuid[], $2::boolean[], $3::text[]) WITH ORDINALITY AS input (merchant_id, livemode, key, ordinal)
JOIN idempotency_keys AS claim ON claim.merchant_id = input.merchant_id
    AND claim.livemode = input.livemode AND claim.key = input.key
JOIN attempts AS attempt ON attempt.merchant_id = claim.merchant_id
    AND attempt.payment_id = claim.payment_id AND attempt.id = claim.attempt_id
LEFT JOIN events AS event ON event.merchant_id = attempt.merchant_id AND event.id = attempt.answer_event;

-- name: find_attempts
-- How far attempts are, and the answer where there is one.
SELECT input.ordinal::int, attempt.state, attempt.code, event.data
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) WITH ORDINALITY AS input (merchant_id, payment_id, attempt_id, ordinal)
JOIN attempts AS attempt ON attempt.merchant_id = input.merchant_id
    AND attempt.payment_id = input.payment_id AND attempt.id = input.attempt_id
LEFT JOIN events AS event ON event.merchant_id = attempt.merchant_id AND event.id = attempt.answer_event;

-- name: find_open
-- Attempts by the id that their processors know, those whose outcome is not known yet.
SELECT input.ordinal::int, attempts.merchant_id, attempts.payment_id, attempts.id AS attempt_id, payments.livemode,
    attempts.refund_id, attempts.kind, attempts.amount, attempts.capture, attempts.processor, attempts.request_id,
    attempts.key_id
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS input (processor, attempt_id, ordinal)
JOIN attempts ON attempts.id = input.attempt_id AND attempts.processor = input.processor
    AND attempts.state IN ('started', 'unknown')
JOIN payments ON payments.merchant_id = attempts.merchant_id AND payments.id = attempts.payment_id;

-- name: mark_unknown
-- Leave attempts to the resolver at once: they were sent, and no answer came.
UPDATE attempts SET state = 'unknown', deadline_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) WITH ORDINALITY AS input (merchant_id, payment_id, attempt_id, ordinal)
WHERE attempts.merchant_id = input.merchant_id AND attempts.payment_id = input.payment_id
    AND attempts.id = input.attempt_id AND attempts.state = 'started'
RETURNING input.ordinal::int;

-- name: list_overdue
-- The open attempts whose deadline has passed, longest overdue first.
SELECT attempts.merchant_id, attempts.payment_id, attempts.id AS attempt_id, payments.livemode, attempts.refund_id,
    attempts.kind, attempts.amount, attempts.capture, attempts.processor, attempts.request_id, attempts.key_id
FROM attempts
JOIN payments ON payments.merchant_id = attempts.merchant_id AND payments.id = attempts.payment_id
WHERE attempts.state IN ('started', 'unknown') AND attempts.deadline_at < now()
ORDER BY attempts.deadline_at LIMIT $1;

-- name: postpone
-- Ask again about attempts whose outcome the processor does not know yet, later each time.
UPDATE attempts SET deadline_at = now() + make_interval(secs => input.delay_s)
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::float8[]) WITH ORDINALITY
    AS input (merchant_id, payment_id, attempt_id, delay_s, ordinal)
WHERE attempts.merchant_id = input.merchant_id AND attempts.payment_id = input.payment_id
    AND attempts.id = input.attempt_id AND attempts.state IN ('started', 'unknown')
RETURNING input.ordinal::int;

-- name: release_claim
-- Free the key of an attempt that was never sent.
DELETE FROM idempotency_keys
WHERE merchant_id = $1 AND livemode = $2 AND key = $3 AND attempt_id = $5 AND EXISTS (
    SELECT FROM attempts
    WHERE merchant_id = $1 AND payment_id = $4 AND id = $5 AND state = 'started');
