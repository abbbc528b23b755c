-- name: next_day
-- The first day that is not settled: the one after the last finished day, the one that was begun, else the day of the
-- first posting. Null where there is nothing to settle.
SELECT coalesce(
    (SELECT day FROM settlement_days WHERE phase <> 'finished'),
    (SELECT max(day) + 1 FROM settlement_days),
    (SELECT (created_at AT TIME ZONE 'UTC')::date FROM ledger_postings
     ORDER BY created_at, merchant_id, payment_id, attempt_id LIMIT 1)
) AS day;

-- name: begin_day
-- Begin to settle a day, or find how far it is. The moment of settlement stays that of the first time.
INSERT INTO settlement_days (day, phase, settled_at) VALUES ($1, 'collecting', $2)
ON CONFLICT (day) DO UPDATE SET phase = settlement_days.phase
RETURNING phase, settled_at;

-- name: end_phase
-- Go on to the next phase of a day.
UPDATE settlement_days SET phase = $3, finished_at = CASE WHEN $3 = 'finished' THEN now() END
WHERE day = $1 AND phase = $2;

-- name: count_postings
-- How many postings a range of time has, about: also those that are not captures or refunds.
SELECT count(*) FROM ledger_postings WHERE created_at >= $1 AND created_at < $2;

-- name: postings_to_collect
-- A page of captures and refunds in the order of time, each with its fee schedule of the day, and whether it is settled.
SELECT page.created_at, page.merchant_id, page.payment_id, page.attempt_id, page.amount, page.currency,
    page.debit = 'processor_receivable' AS is_capture, payments.livemode,
    schedule.basis_points, schedule.fixed_minor, item.attempt_id IS NOT NULL AS is_settled
FROM (
    SELECT * FROM ledger_postings
    WHERE created_at < $5 AND (created_at, merchant_id, payment_id, attempt_id) > ($1, $2, $3, $4)
        AND 'processor_receivable' IN (debit, credit)
    ORDER BY created_at, merchant_id, payment_id, attempt_id LIMIT $6
) AS page
JOIN payments ON payments.merchant_id = page.merchant_id AND payments.id = page.payment_id
LEFT JOIN settlement_items AS item ON item.merchant_id = page.merchant_id AND item.payment_id = page.payment_id
    AND item.attempt_id = page.attempt_id
LEFT JOIN LATERAL (
    SELECT basis_points, fixed_minor FROM fee_schedules
    WHERE fee_schedules.merchant_id = page.merchant_id AND fee_schedules.currency = page.currency
        AND effective_from <= $7
    ORDER BY effective_from DESC LIMIT 1
) AS schedule ON true
ORDER BY page.created_at, page.merchant_id, page.payment_id, page.attempt_id;

-- name: collect
-- Give postings to their settlements, each once: what is there already is not counted again.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::boolean[], $6::text[], $7::bigint[], $8::bigint[]
    ) AS item (merchant_id, payment_id, attempt_id, settlement_id, livemode, currency, amount_minor, fee_minor)
), kept AS (
    INSERT INTO settlement_items (merchant_id, payment_id, attempt_id, settlement_id, amount_minor, fee_minor)
    SELECT merchant_id, payment_id, attempt_id, settlement_id, amount_minor, fee_minor
    FROM input ORDER BY merchant_id, payment_id, attempt_id
    ON CONFLICT DO NOTHING
    RETURNING merchant_id, payment_id, attempt_id
)
INSERT INTO settlements (
    merchant_id, id, livemode, currency, day, captures, refunds, captured_minor, refunded_minor, fee_minor)
SELECT merchant_id, settlement_id, livemode, currency, $9::date,
    count(*) FILTER (WHERE amount_minor > 0), count(*) FILTER (WHERE amount_minor < 0),
    coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0),
    coalesce(-sum(amount_minor) FILTER (WHERE amount_minor < 0), 0), sum(fee_minor)
FROM input JOIN kept USING (merchant_id, payment_id, attempt_id)
GROUP BY merchant_id, settlement_id, livemode, currency
ORDER BY merchant_id, settlement_id
ON CONFLICT (merchant_id, id) DO UPDATE SET
    captures = settlements.captures + excluded.captures,
    refunds = settlements.refunds + excluded.refunds,
    captured_minor = settlements.captured_minor + excluded.captured_minor,
    refunded_minor = settlements.refunded_minor + excluded.refunded_minor,
    fee_minor = settlements.fee_minor + excluded.fee_minor;

-- name: settlements_to_close
-- A page of the day's settlements that are not closed, each with what the one before it carried out.
SELECT page.merchant_id, page.id, page.currency, page.captured_minor, page.refunded_minor, page.fee_minor,
    coalesce(before.carried_out_minor, 0) AS carried_in_minor
FROM (
    SELECT * FROM settlements
    WHERE day = $1 AND closed_at IS NULL AND (merchant_id, id) > ($2, $3)
    ORDER BY merchant_id, id LIMIT $4
) AS page
LEFT JOIN LATERAL (
    SELECT carried_out_minor FROM settlements
    WHERE settlements.merchant_id = page.merchant_id AND settlements.livemode = page.livemode
        AND settlements.currency = page.currency AND settlements.day < page.day
    ORDER BY settlements.day DESC LIMIT 1
) AS before ON true
ORDER BY page.merchant_id, page.id;

-- name: close_settlements
-- Close settlements and post their fees and payouts, each once. A settlement's postings are under its own id.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS item (merchant_id, id, carried_in_minor, payout_minor, carried_out_minor)
), closed AS (
    UPDATE settlements SET
        carried_in_minor = input.carried_in_minor, payout_minor = input.payout_minor,
        carried_out_minor = input.carried_out_minor, closed_at = $6
    FROM input
    WHERE settlements.merchant_id = input.merchant_id AND settlements.id = input.id AND settlements.closed_at IS NULL
    RETURNING settlements.merchant_id, settlements.id
)
INSERT INTO ledger_postings (merchant_id, payment_id, attempt_id, leg, debit, credit, amount, currency, created_at)
SELECT merchant_id, id, id, leg, debit, credit, amount, currency, $6
FROM unnest($7::uuid[], $8::uuid[], $9::smallint[], $10::text[], $11::text[], $12::bigint[], $13::text[])
    AS posting (merchant_id, id, leg, debit, credit, amount, currency)
JOIN closed USING (merchant_id, id)
ORDER BY merchant_id, id, leg
ON CONFLICT DO NOTHING;

-- name: captures_to_mark
-- A page of captures in the order of time, each with its settlement if its payment does not tell of it yet.
SELECT page.created_at, page.merchant_id, page.payment_id, page.attempt_id, payments.livemode, item.settlement_id,
    settlement.day = $7 AND payments.settlement_id IS NULL AS is_due
FROM (
    SELECT * FROM ledger_postings
    WHERE created_at < $5 AND (created_at, merchant_id, payment_id, attempt_id) > ($1, $2, $3, $4)
        AND debit = 'processor_receivable'
    ORDER BY created_at, merchant_id, payment_id, attempt_id LIMIT $6
) AS page
JOIN payments ON payments.merchant_id = page.merchant_id AND payments.id = page.payment_id
LEFT JOIN settlement_items AS item ON item.merchant_id = page.merchant_id AND item.payment_id = page.payment_id
    AND item.attempt_id = page.attempt_id
LEFT JOIN settlements AS settlement ON settlement.merchant_id = item.merchant_id AND settlement.id = item.settlement_id
ORDER BY page.created_at, page.merchant_id, page.payment_id, page.attempt_id;

-- name: mark_payments
-- Have payments tell of their settlement, each once. Their rows are locked in the order of the key, as everywhere.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS item (merchant_id, payment_id, settlement_id)
), due AS MATERIALIZED (
    SELECT payments.merchant_id, payments.id, input.settlement_id
    FROM input JOIN payments ON payments.merchant_id = input.merchant_id AND payments.id = input.payment_id
    WHERE payments.settlement_id IS NULL
    ORDER BY payments.merchant_id, payments.id FOR UPDATE OF payments
)
UPDATE payments SET
    settlement_id = due.settlement_id, settled_at = $4, version = version + 1,
    updated_at = greatest(updated_at, now())
FROM due WHERE payments.merchant_id = due.merchant_id AND payments.id = due.id;

-- name: payouts
-- A page of what a day pays out in one mode, with the merchant's name where it has one.
SELECT settlements.merchant_id, settlements.id, settlements.currency, settlements.payout_minor, merchants.name
FROM settlements LEFT JOIN merchants ON merchants.id = settlements.merchant_id
WHERE settlements.day = $1 AND settlements.livemode = $2 AND settlements.payout_minor > 0
    AND (settlements.merchant_id, settlements.id) > ($3, $4)
ORDER BY settlements.merchant_id, settlements.id LIMIT $5;

-- name: day_totals
-- What a day came to, by mode and currency.
SELECT livemode, currency, count(*) AS settlements, sum(captures)::bigint AS captures, sum(refunds)::bigint AS refunds,
    sum(captured_minor)::bigint AS captured_minor, sum(refunded_minor)::bigint AS refunded_minor,
    sum(fee_minor)::bigint AS fee_minor, sum(carried_in_minor)::bigint AS carried_in_minor,
    sum(payout_minor)::bigint AS payout_minor, sum(carried_out_minor)::bigint AS carried_out_minor
FROM settlements WHERE day = $1 GROUP BY livemode, currency ORDER BY livemode DESC, currency;
