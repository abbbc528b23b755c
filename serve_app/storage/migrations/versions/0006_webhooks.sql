-- Webhooks. Deliveries and their tasks are written by the statements that write the events (the outbox), so none is
-- lost and none tells of what was not committed.

CREATE TABLE webhook_endpoints (
    merchant_id uuid NOT NULL,
    id          uuid NOT NULL,
    livemode    boolean NOT NULL,
    url         text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    events      text[] NOT NULL CHECK (cardinality(events) BETWEEN 1 AND 100),
    description text,
    enabled     boolean NOT NULL DEFAULT true,
    disabled_reason text CHECK (disabled_reason IN ('merchant', 'failing', 'gone')),
    secret      bytea NOT NULL,
    previous_secret bytea,
    previous_secret_until timestamptz,
    failing_since timestamptz,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, id),
    CHECK (enabled = (disabled_reason IS NULL)),
    CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL))
) WITH (fillfactor = 70);
COMMENT ON COLUMN webhook_endpoints.secret IS 'Sealed under the endpoint''s name.';
COMMENT ON COLUMN webhook_endpoints.failing_since IS 'When the first try failed after the last that did not.';
COMMENT ON COLUMN webhook_endpoints.version IS 'Rises with every change; the sequence of the endpoint''s own events.';

-- One for each event and endpoint. A round is one run through the schedule of tries: a redelivery begins the next one,
-- and a task of an earlier round finds that it has nothing to do.
CREATE TABLE webhook_deliveries (
    merchant_id uuid NOT NULL,
    id          uuid NOT NULL,
    livemode    boolean NOT NULL,
    endpoint_id uuid NOT NULL,
    event_id    uuid NOT NULL,
    event_type  text NOT NULL,
    status      text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'succeeded', 'failed')),
    reason      text CHECK (reason IN ('exhausted', 'gone', 'endpoint_disabled', 'endpoint_deleted')),
    round       integer NOT NULL DEFAULT 1,
    tries       integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    response_code integer,
    error       text,
    duration_ms integer,
    tried_at    timestamptz,
    created_at  timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (merchant_id, id),
    CHECK ((next_try_at IS NOT NULL) = (status = 'pending')),
    CHECK ((finished_at IS NULL) = (status = 'pending')),
    CHECK ((reason IS NOT NULL) = (status = 'failed'))
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX webhook_deliveries_by_event ON webhook_deliveries (merchant_id, event_id, endpoint_id);
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (merchant_id, endpoint_id, id);
-- What a merchant looks for, among many that went well.
CREATE INDEX webhook_deliveries_unsuccessful ON webhook_deliveries (merchant_id, id) WHERE status <> 'succeeded';

CREATE TABLE webhook_tries (
    merchant_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    id          uuid NOT NULL,
    url         text NOT NULL,
    response_code integer,
    response_body text,
    error       text,
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    started_at  timestamptz NOT NULL,
    next_try_at timestamptz,
    PRIMARY KEY (merchant_id, delivery_id, id)
);

-- The order of the feed: that of the transactions' numbers, in which nothing appears behind a reader.
CREATE INDEX events_feed ON events (merchant_id, livemode, xid, id);
