-- name: find_refund
-- One refund of a merchant in one mode.
SELECT refunds.* FROM refunds
JOIN payments ON payments.merchant_id = refunds.merchant_id AND payments.id = refunds.payment_id
WHERE refunds.merchant_id = $1 AND refunds.id = $2 AND payments.livemode = $3;

-- name: list_refunds
-- A page of a payment's refunds, newest first.
SELECT * FROM refunds
WHERE merchant_id = $1 AND payment_id = $2 AND id < $3
ORDER BY id DESC LIMIT $4;
