-- name: find_payment_owner
-- Whose a payment is: one probe of the primary key for each merchant.
SELECT payment.merchant_id, payment.livemode FROM merchants CROSS JOIN LATERAL (
    SELECT merchant_id, livemode FROM payments WHERE payments.merchant_id = merchants.id AND payments.id = $1
    LIMIT 1
) AS payment LIMIT 1;

-- name: find_delivery_owner
-- Whose a webhook delivery is; as above.
SELECT delivery.merchant_id, delivery.livemode FROM merchants CROSS JOIN LATERAL (
    SELECT merchant_id, livemode FROM webhook_deliveries AS found
    WHERE found.merchant_id = merchants.id AND found.id = $1 LIMIT 1
) AS delivery LIMIT 1;

-- name: unsuccessful_deliveries
-- The newest deliveries of each merchant that have not arrived, since an id; so many of each, newest first.
SELECT merchants.name AS merchant_name, delivery.* FROM merchants CROSS JOIN LATERAL (
    SELECT id, merchant_id, endpoint_id, event_type, status, reason, tries, response_code, error, next_try_at,
        created_at
    FROM webhook_deliveries AS found
    WHERE found.merchant_id = merchants.id AND found.status <> 'succeeded' AND found.id >= $1
    ORDER BY found.id DESC LIMIT $2
) AS delivery
ORDER BY delivery.id DESC LIMIT $3;
