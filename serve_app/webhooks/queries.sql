-- name: create_endpoint
-- Register an endpoint, unless the merchant has so many in this mode, with its audit entry. Returns it.
WITH created AS (
    INSERT INTO webhook_endpoints (merchant_id, id, livemode, url, events, description, secret, created_at, updated_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $8
    WHERE (SELECT count(*) FROM webhook_endpoints WHERE merchant_id = $1 AND livemode = $3) < $9
    RETURNING *
), auditing AS (
    INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, $10, livemode, $11, $12, 'webhook_endpoint.create', 'we_' || replace(id::text, '-', ''),
        'succeeded', updated_at
    FROM created
)
SELECT * FROM created;

-- name: find_endpoint
-- An endpoint of a merchant in one mode.
SELECT * FROM webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- name: list_endpoints
-- A merchant's endpoints in one mode, newest first.
SELECT * FROM webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 ORDER BY id DESC;

-- name: change_endpoint
-- Change what is given of an endpoint, with its audit entry. Returns it as it is then. A new URL, and one that is
-- enabled again, has not failed yet.
WITH changed AS (
    UPDATE webhook_endpoints SET
        url = coalesce($4::text, url), events = coalesce($5::text[], events),
        description = CASE WHEN $6::boolean THEN $7::text ELSE description END,
        enabled = coalesce($8::boolean, enabled),
        disabled_reason = CASE WHEN $8 THEN NULL WHEN NOT $8 AND enabled THEN 'merchant' ELSE disabled_reason END,
        failing_since = CASE WHEN ($8 AND NOT enabled) OR $4 <> url THEN NULL ELSE failing_since END,
        version = version + 1, updated_at = $9
    WHERE merchant_id = $1 AND livemode = $2 AND id = $3
    RETURNING *
), auditing AS (
    INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, $10, livemode, $11, $12,
        CASE WHEN $8 IS NULL THEN 'webhook_endpoint.update' WHEN $8 THEN 'webhook_endpoint.enable'
            ELSE 'webhook_endpoint.disable' END,
        'we_' || replace(id::text, '-', ''), 'succeeded', updated_at
    FROM changed
)
SELECT * FROM changed;

-- name: rotate_secret
-- Give an endpoint a new secret and let the old one sign beside it for a while, with the audit entry. Returns it.
WITH changed AS (
    UPDATE webhook_endpoints SET
        previous_secret = secret, previous_secret_until = $5::timestamptz, secret = $4,
        version = version + 1, updated_at = $6
    WHERE merchant_id = $1 AND livemode = $2 AND id = $3
    RETURNING *
), auditing AS (
    INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, $7, livemode, $8, $9, 'webhook_endpoint.rotate_secret', 'we_' || replace(id::text, '-', ''),
        'succeeded', updated_at
    FROM changed
)
SELECT * FROM changed;

-- name: delete_endpoint
-- Delete an endpoint, with the audit entry. Its deliveries stay in the log; those that are due end as failed.
WITH deleted AS (
    DELETE FROM webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND id = $3 RETURNING *
), auditing AS (
    INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, $5, livemode, $6, $7, 'webhook_endpoint.delete', 'we_' || replace(id::text, '-', ''),
        'succeeded', $4
    FROM deleted
)
SELECT id FROM deleted;

-- name: ping_endpoint
-- Make an event that goes to this endpoint alone, whatever it asks for, with its delivery, task and audit entry, if
-- the endpoint is enabled. Returns the delivery.
WITH pinged AS (
    UPDATE webhook_endpoints SET version = version + 1
    WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND enabled
    RETURNING *
), telling AS (
    INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at)
    SELECT merchant_id, $4, livemode, 'webhook_endpoint.ping', id, version, $5, $6 FROM pinged
    RETURNING merchant_id, id, livemode, type, object_id, created_at
), delivering AS (
    INSERT INTO webhook_deliveries (
        merchant_id, id, livemode, endpoint_id, event_id, event_type, next_try_at, created_at)
    SELECT merchant_id, new_uuid7(), livemode, object_id, id, type, created_at, created_at FROM telling
    RETURNING *
), queueing AS (
    INSERT INTO tasks (id, name, owner, lane, arguments)
    SELECT id, 'webhooks.deliver', merchant_id::text, endpoint_id::text,
        format('{"merchant_id":"%s","delivery_id":"%s","round":1}', merchant_id, id)
    FROM delivering
), auditing AS (
    INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, $7, livemode, $8, $9, 'webhook_endpoint.ping', 'we_' || replace(id::text, '-', ''),
        'succeeded', $6
    FROM pinged
)
SELECT * FROM delivering;

-- name: disable_endpoint
-- Disable an endpoint that is gone, or that has failed since a time or longer, if nobody has changed it meanwhile: with
-- an event that tells so, the deliveries of that to the merchant's other endpoints, and an audit entry. The statement
-- sees the endpoint as it was, still enabled, so it is left out by its id.
WITH disabled AS (
    UPDATE webhook_endpoints SET
        enabled = false, disabled_reason = $4, version = version + 1, updated_at = $7
    WHERE merchant_id = $1 AND id = $2 AND enabled AND version = $3
        AND ($5::timestamptz IS NULL OR failing_since <= $5)
    RETURNING *
), telling AS (
    INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at)
    SELECT merchant_id, $6, livemode, 'webhook_endpoint.disabled', id, version, $8, $7 FROM disabled
    RETURNING merchant_id, id, livemode, type, object_id, created_at
), delivering AS (
    INSERT INTO webhook_deliveries (
        merchant_id, id, livemode, endpoint_id, event_id, event_type, next_try_at, created_at)
    SELECT telling.merchant_id, new_uuid7(), telling.livemode, endpoint.id, telling.id, telling.type,
        telling.created_at, telling.created_at
    FROM telling JOIN webhook_endpoints AS endpoint ON endpoint.merchant_id = telling.merchant_id
        AND endpoint.livemode = telling.livemode AND endpoint.enabled AND endpoint.events && ARRAY['*', telling.type]
        AND endpoint.id <> telling.object_id
    RETURNING merchant_id, id, endpoint_id, event_id
), queueing AS (
    INSERT INTO tasks (id, name, owner, lane, arguments)
    SELECT id, 'webhooks.deliver', merchant_id::text, endpoint_id::text,
        format('{"merchant_id":"%s","delivery_id":"%s","round":1}', merchant_id, id)
    FROM delivering
), auditing AS (
    INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, $9, livemode, NULL, 'webhooks.deliver', 'webhook_endpoint.disable',
        'we_' || replace(id::text, '-', ''), 'succeeded', updated_at
    FROM disabled
)
SELECT EXISTS (SELECT FROM disabled) AS disabled, EXISTS (SELECT FROM delivering) AS queued;

-- name: order_redelivery
-- Enqueue the redelivery of an endpoint's events, with the audit entry, if the endpoint is enabled.
WITH endpoint AS (
    SELECT * FROM webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND enabled
), queueing AS (
    INSERT INTO tasks (id, name, owner, lane, priority, arguments)
    SELECT new_uuid7(), 'webhooks.redeliver', merchant_id::text, id::text, 3, $4 FROM endpoint
), auditing AS (
    INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, $6, livemode, $7, $8, 'webhook_endpoint.redeliver', 'we_' || replace(id::text, '-', ''),
        'succeeded', $5
    FROM endpoint
)
SELECT id FROM endpoint;

-- name: redeliver_page
-- Begin a new round for a page of events, in order: those that the endpoint asks for and has not got, or all that it
-- asks for. Pings are for the endpoint that they were sent to. Returns how many events were looked at, the last of them,
-- and how many deliveries wait now.
WITH endpoint AS MATERIALIZED (
    SELECT * FROM webhook_endpoints WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND enabled
), page AS MATERIALIZED (
    SELECT id, type, livemode FROM events
    WHERE merchant_id = $1 AND id > $4 AND id <= $5 AND EXISTS (SELECT FROM endpoint) ORDER BY id LIMIT $7
), again AS (
    INSERT INTO webhook_deliveries AS delivery (
        merchant_id, id, livemode, endpoint_id, event_id, event_type, next_try_at, created_at)
    SELECT endpoint.merchant_id, new_uuid7(), endpoint.livemode, endpoint.id, page.id, page.type, $8, $8
    FROM page JOIN endpoint ON page.livemode = endpoint.livemode AND endpoint.events && ARRAY['*', page.type]
    WHERE page.type <> 'webhook_endpoint.ping' ORDER BY page.id
    ON CONFLICT (merchant_id, event_id, endpoint_id) DO UPDATE SET
        status = 'pending', reason = NULL, round = delivery.round + 1, tries = 0, next_try_at = excluded.next_try_at,
        finished_at = NULL
    WHERE delivery.status = 'failed' OR ($6::boolean AND delivery.status = 'succeeded')
        -- It has failed, and is to be tried in minutes or hours.
        OR (delivery.status = 'pending' AND delivery.tries > 0 AND delivery.next_try_at > $8)
    RETURNING merchant_id, id, endpoint_id, event_id, round
), queueing AS (
    INSERT INTO tasks (id, name, owner, lane, arguments)
    SELECT new_uuid7(), 'webhooks.deliver', merchant_id::text, endpoint_id::text,
        format('{"merchant_id":"%s","delivery_id":"%s","round":%s}', merchant_id, id, round)
    FROM (SELECT * FROM again ORDER BY event_id) AS ordered
)
SELECT (SELECT count(*) FROM page)::int AS seen, (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last,
    (SELECT count(*) FROM again)::int AS queued;

-- name: retry_delivery
-- Begin a new round of a delivery at once, with its task and audit entry, if its endpoint is there and enabled.
WITH again AS (
    UPDATE webhook_deliveries AS delivery SET
        status = 'pending', reason = NULL, round = round + 1, tries = 0, next_try_at = $4, finished_at = NULL
    WHERE merchant_id = $1 AND livemode = $2 AND id = $3 AND EXISTS (
        SELECT FROM webhook_endpoints AS endpoint
        WHERE endpoint.merchant_id = $1 AND endpoint.id = delivery.endpoint_id AND endpoint.enabled)
    RETURNING *
), queueing AS (
    INSERT INTO tasks (id, name, owner, lane, arguments)
    SELECT new_uuid7(), 'webhooks.deliver', merchant_id::text, endpoint_id::text,
        format('{"merchant_id":"%s","delivery_id":"%s","round":%s}', merchant_id, id, round)
    FROM again
), auditing AS (
    INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
    SELECT merchant_id, $5, livemode, $6, $7, 'webhook_delivery.retry', 'whd_' || replace(id::text, '-', ''),
        'succeeded', $4
    FROM again
)
SELECT * FROM again;

-- name: find_delivery
-- A delivery of a merchant in one mode, with its event.
SELECT delivery.*, event.sequence, event.data, event.created_at AS event_created_at
FROM webhook_deliveries AS delivery
JOIN events AS event ON event.merchant_id = delivery.merchant_id AND event.id = delivery.event_id
WHERE delivery.merchant_id = $1 AND delivery.livemode = $2 AND delivery.id = $3;

-- name: list_tries
-- The newest tries of a delivery, newest first.
SELECT * FROM webhook_tries WHERE merchant_id = $1 AND delivery_id = $2 ORDER BY id DESC LIMIT $3;

-- name: list_deliveries
-- A page of the delivery log, newest first.
SELECT * FROM webhook_deliveries
WHERE merchant_id = $1 AND livemode = $2 AND id < $3
    AND ($4::uuid IS NULL OR endpoint_id = $4) AND ($5::uuid IS NULL OR event_id = $5)
    AND ($6::text IS NULL OR status = $6)
ORDER BY id DESC LIMIT $7;

-- name: list_unsuccessful_deliveries
-- The same for those that did not go well, which have an index of their own.
SELECT * FROM webhook_deliveries
WHERE merchant_id = $1 AND livemode = $2 AND id < $3
    AND ($4::uuid IS NULL OR endpoint_id = $4) AND ($5::uuid IS NULL OR event_id = $5)
    AND status = $6 AND status <> 'succeeded'
ORDER BY id DESC LIMIT $7;

-- name: load_deliveries
-- What a try needs: the delivery, its event and its endpoint, where there still is one.
SELECT input.ordinal::int, delivery.endpoint_id, delivery.event_id, delivery.livemode, delivery.status, delivery.round,
    delivery.tries, delivery.next_try_at, event.type, event.sequence, event.data, event.created_at AS event_created_at,
    endpoint.id IS NOT NULL AS has_endpoint, endpoint.enabled, endpoint.url, endpoint.secret, endpoint.previous_secret,
    endpoint.previous_secret_until, endpoint.failing_since
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS input (merchant_id, delivery_id, ordinal)
JOIN webhook_deliveries AS delivery
    ON delivery.merchant_id = input.merchant_id AND delivery.id = input.delivery_id
JOIN events AS event ON event.merchant_id = delivery.merchant_id AND event.id = delivery.event_id
LEFT JOIN webhook_endpoints AS endpoint
    ON endpoint.merchant_id = delivery.merchant_id AND endpoint.id = delivery.endpoint_id;

-- name: record_tries
-- Log tries, say how their deliveries stand where they are still of that round, and note which endpoints have begun to
-- fail or fail no more. The endpoints that change are locked first, in one order. A repeated row changes nothing.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::integer[], $6::uuid[], $7::text[], $8::integer[],
        $9::text[], $10::text[], $11::integer[], $12::timestamptz[], $13::text[], $14::text[], $15::timestamptz[],
        $16::timestamptz[]
    ) WITH ORDINALITY AS item (
        merchant_id, delivery_id, endpoint_id, round, tries, try_id, url, response_code,
        response_body, error, duration_ms, started_at, status, reason, next_try_at,
        finished_at, ordinal
    )
), logged AS (
    INSERT INTO webhook_tries (
        merchant_id, delivery_id, id, url, response_code, response_body, error, duration_ms, started_at, next_try_at)
    SELECT merchant_id, delivery_id, try_id, url, response_code, response_body, error, duration_ms, started_at, next_try_at
    FROM input ORDER BY merchant_id, delivery_id
    ON CONFLICT DO NOTHING
), moved AS (
    UPDATE webhook_deliveries AS delivery SET
        status = input.status, reason = input.reason, tries = input.tries, next_try_at = input.next_try_at,
        response_code = input.response_code, error = input.error, duration_ms = input.duration_ms,
        tried_at = input.started_at, finished_at = input.finished_at
    FROM input
    WHERE delivery.merchant_id = input.merchant_id AND delivery.id = input.delivery_id
        AND delivery.round = input.round AND delivery.status = 'pending'
), outcome AS (
    SELECT merchant_id, endpoint_id, bool_or(status = 'succeeded') AS delivered, min(started_at) AS started_at
    FROM input GROUP BY merchant_id, endpoint_id
), turned AS MATERIALIZED (
    SELECT endpoint.merchant_id, endpoint.id, outcome.delivered, outcome.started_at
    FROM outcome JOIN webhook_endpoints AS endpoint
        ON endpoint.merchant_id = outcome.merchant_id AND endpoint.id = outcome.endpoint_id
    WHERE endpoint.enabled AND outcome.delivered = (endpoint.failing_since IS NOT NULL)
    ORDER BY endpoint.merchant_id, endpoint.id FOR NO KEY UPDATE OF endpoint
), judged AS (
    UPDATE webhook_endpoints AS endpoint SET
        failing_since = CASE WHEN turned.delivered THEN NULL ELSE turned.started_at END
    FROM turned WHERE endpoint.merchant_id = turned.merchant_id AND endpoint.id = turned.id
)
SELECT ordinal::int FROM input;

-- name: drop_delivery
-- End a delivery that needs no try: its endpoint is disabled or deleted.
UPDATE webhook_deliveries SET status = 'failed', reason = $4, next_try_at = NULL, finished_at = $5
WHERE merchant_id = $1 AND id = $2 AND round = $3 AND status = 'pending';

-- name: find_event
-- An event of a merchant in one mode.
SELECT * FROM events WHERE merchant_id = $1 AND livemode = $2 AND id = $3;

-- name: feed_start
-- The beginning of the feed, in the order of `feed_after`.
SELECT * FROM events
WHERE merchant_id = $1 AND livemode = $2 AND xid < pg_snapshot_xmin(pg_current_snapshot())
    AND ($3::text IS NULL OR type = $3)
ORDER BY xid, id LIMIT $4;

-- name: feed_after
-- What comes after an event, by transaction, up to the oldest that is still open: nothing can appear behind a reader.
SELECT * FROM events
WHERE merchant_id = $1 AND livemode = $2 AND (xid, id) > ($5::text::xid8, $6::uuid)
    AND xid < pg_snapshot_xmin(pg_current_snapshot()) AND ($3::text IS NULL OR type = $3)
ORDER BY xid, id LIMIT $4;
