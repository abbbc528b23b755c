-- name: find_keys
-- Keys by their digests, with what the merchant's other settings say.
SELECT input.ordinal::int, api_keys.id, api_keys.merchant_id, api_keys.livemode, api_keys.scopes, api_keys.expires_at,
    api_keys.revoked_at, merchants.rate_limit_per_minute
FROM unnest($1::bytea[]) WITH ORDINALITY AS input (digest, ordinal)
JOIN api_keys ON api_keys.digest = input.digest
JOIN merchants ON merchants.id = api_keys.merchant_id;

-- name: put_merchant
-- Make a merchant, or change its rate limit where one is given. Returns its id.
INSERT INTO merchants (id, name, rate_limit_per_minute) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET
    rate_limit_per_minute = coalesce(excluded.rate_limit_per_minute, merchants.rate_limit_per_minute)
RETURNING id;

-- name: create_key
-- Store a new key.
INSERT INTO api_keys (id, merchant_id, livemode, digest, last4, scopes, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING created_at;

-- name: is_valid_key
-- Whether a key is there, not revoked and not expired.
SELECT EXISTS (
    SELECT FROM api_keys WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()));

-- name: list_keys
-- Every key of every merchant, newest first, with its requests of so many days, today's (UTC) among them.
SELECT api_keys.id, api_keys.merchant_id, merchants.name AS merchant, api_keys.livemode, api_keys.last4, api_keys.scopes,
    api_keys.created_at, api_keys.expires_at, api_keys.revoked_at, api_keys.last_used_at,
    coalesce(recent.requests, 0) AS requests
FROM api_keys JOIN merchants ON merchants.id = api_keys.merchant_id
LEFT JOIN (
    SELECT key_id, sum(requests)::bigint AS requests FROM api_key_usage
    WHERE day > (now() AT TIME ZONE 'UTC')::date - $1::int GROUP BY key_id
) AS recent ON recent.key_id = api_keys.id
ORDER BY api_keys.id DESC;

-- name: revoke_key
-- Take a key back; again changes nothing.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING merchant_id, livemode, revoked_at;

-- name: apply_key_usage
-- Add requests to their keys' days, and remember the last uses. All keys are locked first, in one order, so that two of
-- these never wait for each other; what is not there any more is passed over.
WITH input AS (
    SELECT key_id, (last_used_at AT TIME ZONE 'UTC')::date AS day, requests, last_used_at
    FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS item (key_id, requests, last_used_at)
), known AS MATERIALIZED (
    SELECT id FROM api_keys WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
), last_uses AS (
    UPDATE api_keys SET last_used_at = greatest(api_keys.last_used_at, latest.last_used_at)
    FROM (
        SELECT known.id, max(input.last_used_at) AS last_used_at FROM input JOIN known ON known.id = input.key_id
        GROUP BY known.id
    ) AS latest
    WHERE api_keys.id = latest.id
)
INSERT INTO api_key_usage (key_id, day, requests)
SELECT input.key_id, input.day, sum(input.requests) FROM input JOIN known ON known.id = input.key_id
WHERE input.requests > 0 GROUP BY input.key_id, input.day ORDER BY input.key_id, input.day
ON CONFLICT (key_id, day) DO UPDATE SET requests = api_key_usage.requests + excluded.requests;

-- name: audit_key
-- Write down who was given or lost a key.
INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
VALUES ($1, $2, $3, NULL, 'cli', $4, $5, 'succeeded', now());
