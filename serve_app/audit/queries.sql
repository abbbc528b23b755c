-- name: list_audit_entries
-- A page of a merchant's audit trail, newest first.
SELECT id, key_id, request_id, action, object_id, result, created_at FROM audit_entries
WHERE merchant_id = $1 AND livemode = $2 AND id < $3
    AND ($4::text IS NULL OR object_id = $4)
ORDER BY id DESC LIMIT $5;

-- name: put_operator_entries
-- Write down what operators did, each in the trail of the merchant whose key it was done with. Safe to repeat.
INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::boolean[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[]
)
ON CONFLICT (merchant_id, id) DO NOTHING;
