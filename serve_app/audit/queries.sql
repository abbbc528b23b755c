-- name: list_audit_entries
-- A page of a merchant's audit trail, newest first.
SELECT id, key_id, request_id, action, object_id, result, created_at FROM audit_entries
WHERE merchant_id = $1 AND livemode = $2 AND id < $3
    AND ($4::text IS NULL OR object_id = $4)
ORDER BY id DESC LIMIT $5;
