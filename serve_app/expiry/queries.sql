-- name: list_expired
-- A page of the payments that were authorized before a time, oldest first. What another operation has in hand, and what
-- the processor refused to void lately, is left out.
SELECT merchant_id, id AS payment_id, livemode, authorized_at FROM payments
WHERE authorized_at < $1 AND (authorized_at, merchant_id, id) > ($2, $3, $4)
    AND pending_attempt IS NULL AND NOT EXISTS (
        SELECT FROM attempts
        WHERE attempts.merchant_id = payments.merchant_id AND attempts.payment_id = payments.id
            AND attempts.kind = 'void' AND attempts.finished_at > $5)
ORDER BY authorized_at, merchant_id, id LIMIT $6;
