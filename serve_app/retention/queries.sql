-- name: list_old_keys
-- Idempotency keys that were claimed before a time and answered before it, for as many as are wanted. The block range
-- index on `created_at` says where they lie; in which order they come does not matter. The limit within has each
-- attempt looked up by its key: a join of the two tables reads all of the attempts.
SELECT claim.merchant_id, claim.livemode, claim.key
FROM idempotency_keys AS claim CROSS JOIN LATERAL (
    SELECT FROM attempts
    WHERE attempts.merchant_id = claim.merchant_id AND attempts.payment_id = claim.payment_id
        AND attempts.id = claim.attempt_id AND attempts.finished_at < $1
    LIMIT 1
) AS answered
WHERE claim.created_at < $1
LIMIT $2;

-- name: delete_keys
-- Forget keys, unless one was freed and claimed anew since it was listed.
WITH old AS MATERIALIZED (
    SELECT claim.ctid FROM unnest($1::uuid[], $2::boolean[], $3::text[]) AS input (merchant_id, livemode, key)
    JOIN idempotency_keys AS claim ON claim.merchant_id = input.merchant_id
        AND claim.livemode = input.livemode AND claim.key = input.key
    WHERE claim.created_at < $4
    ORDER BY claim.merchant_id, claim.livemode, claim.key
    FOR UPDATE OF claim SKIP LOCKED
)
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM old));
