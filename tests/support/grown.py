"""A database that has been in use for a while: generated payments, and with them all that comes of payments.

One merchant has half of everything, so that a statement that reads all of a merchant shows.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

from serve_app.domain.ids import new_id
from tests.support.generated import generate_payments

_OTHERS = 10
_XIDS_EACH = 100_000

# Events are written by many transactions, and each takes a number that later ones are above.
_SPREAD = """
CREATE SEQUENCE grown_xids MINVALUE 100 START {first} CACHE 1000;
ALTER TABLE events ALTER COLUMN xid SET DEFAULT (nextval('grown_xids') / 2)::text::xid8;
"""
_GATHER = """
ALTER TABLE events ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
DROP SEQUENCE grown_xids;
"""
_PASS_XIDS = """
DO $$ BEGIN
    CREATE TEMP TABLE passed (i int);
    FOR i IN 1..{count} LOOP
        BEGIN INSERT INTO passed VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END;
    END LOOP;
    DROP TABLE passed;
END $$
"""
_FILL = """
UPDATE payments SET authorized_at = updated_at WHERE status = 'authorized';
INSERT INTO merchants (id, name) SELECT new_uuid7(), 'idle ' || i FROM generate_series(1, 10000) AS i;
INSERT INTO api_keys (id, merchant_id, livemode, digest, last4, scopes)
SELECT new_uuid7(), id, copy = 1, sha256((id::text || copy)::bytea), 'abcd', ARRAY['payments']
FROM merchants, generate_series(1, 2) AS copy;
INSERT INTO api_key_usage (key_id, day, requests)
SELECT id, current_date - back, 10 FROM api_keys, generate_series(0, 4) AS back;
INSERT INTO fee_schedules (merchant_id, currency, effective_from, basis_points, fixed_minor)
SELECT id, currency, '2025-01-01', 290, 30 FROM merchants, unnest(ARRAY['USD', 'EUR', 'JPY']) AS currency;
INSERT INTO audit_entries (merchant_id, id, livemode, key_id, request_id, action, object_id, result, created_at)
SELECT attempts.merchant_id,
    overlay(md5(attempts.id::text) PLACING left(replace(attempts.id::text, '-', ''), 13) FROM 1)::uuid,
    livemode, key_id, request_id, 'payment.' || kind, 'pay_' || replace(payment_id::text, '-', ''), state,
    coalesce(finished_at, started_at)
FROM attempts JOIN payments ON payments.merchant_id = attempts.merchant_id AND payments.id = payment_id
ORDER BY started_at;
INSERT INTO idempotency_keys (merchant_id, livemode, key, fingerprint, payment_id, attempt_id, created_at)
SELECT attempts.merchant_id, livemode, 'key-' || attempts.id, sha256('x'), payment_id, attempts.id, started_at
FROM attempts JOIN payments ON payments.merchant_id = attempts.merchant_id AND payments.id = payment_id
ORDER BY started_at;
INSERT INTO webhook_endpoints (merchant_id, id, livemode, url, events, secret, created_at, updated_at)
SELECT id, new_uuid7(), live = 1, 'https://example.com/hook', ARRAY['*'], sha256('secret'), now(), now()
FROM merchants, generate_series(0, 1) AS live WHERE EXISTS (SELECT FROM payments WHERE merchant_id = merchants.id);
INSERT INTO webhook_deliveries (
    merchant_id, id, livemode, endpoint_id, event_id, event_type, status, reason, tries, next_try_at, created_at,
    finished_at)
SELECT event.merchant_id, overlay(md5(event.id::text) PLACING left(replace(event.id::text, '-', ''), 13) FROM 1)::uuid,
    event.livemode, endpoint.id, event.id, event.type, status, CASE status WHEN 'failed' THEN 'exhausted' END, 1,
    CASE status WHEN 'pending' THEN event.created_at END, event.created_at,
    CASE WHEN status <> 'pending' THEN event.created_at END
FROM events AS event
JOIN webhook_endpoints AS endpoint ON endpoint.merchant_id = event.merchant_id AND endpoint.livemode = event.livemode
CROSS JOIN LATERAL (
    SELECT CASE hashtext(event.id::text) % 100 WHEN 0 THEN 'failed' WHEN 1 THEN 'pending' ELSE 'succeeded' END AS status
) AS chosen
ORDER BY event.created_at;
INSERT INTO webhook_tries (merchant_id, delivery_id, id, url, response_code, duration_ms, started_at)
SELECT merchant_id, id, id, 'https://example.com/hook', 200, 20, created_at FROM webhook_deliveries ORDER BY created_at;
INSERT INTO settlement_days (day, phase, settled_at, finished_at)
SELECT day::date, 'finished', day + interval '1 day', day + interval '1 day'
FROM generate_series('2025-12-01'::timestamptz, '2026-01-02', '1 day') AS day;
INSERT INTO settlements (
    merchant_id, id, livemode, currency, day, captures, refunds, captured_minor, refunded_minor, fee_minor,
    payout_minor, closed_at)
SELECT merchants.id, new_uuid7(), live = 1, currency, day, 1, 0, 100, 0, 0, 100, now()
FROM merchants, generate_series(0, 1) AS live, unnest(ARRAY['USD', 'EUR', 'JPY']) AS currency, settlement_days
WHERE EXISTS (SELECT FROM payments WHERE merchant_id = merchants.id);
INSERT INTO settlement_items (merchant_id, payment_id, attempt_id, settlement_id, amount_minor, fee_minor)
SELECT posting.merchant_id, payment_id, attempt_id, settlement.id, posting.amount, 30
FROM ledger_postings AS posting
JOIN payments ON payments.merchant_id = posting.merchant_id AND payments.id = posting.payment_id
JOIN settlements AS settlement ON settlement.merchant_id = posting.merchant_id
    AND settlement.livemode = payments.livemode AND settlement.currency = posting.currency
    AND settlement.day = (posting.created_at AT TIME ZONE 'UTC')::date;
INSERT INTO job_runs (id, job, subject, phase, position, counts, started_at, finished_at)
SELECT new_uuid7(), 'reconcile', 'report ' || i, 'matching', '{}', '{}', now() - make_interval(hours => i),
    CASE WHEN i > 1 THEN now() END FROM generate_series(1, 20) AS i;
INSERT INTO job_exceptions (run_id, kind, subject, number, detail)
SELECT id, 'missing_there', id || '-' || i, i, '{}' FROM job_runs, generate_series(1, 500) AS i;
INSERT INTO reconciliation_entries (run_id, attempt, line, kind, amount_minor, currency, reference)
SELECT (SELECT id FROM job_runs WHERE finished_at IS NULL), 'att_' || replace(id::text, '-', ''),
    row_number() OVER (), 'capture', amount, 'USD', processor_reference
FROM attempts WHERE processor_reference IS NOT NULL;
INSERT INTO ledger_discrepancies (
    merchant_id, payment_id, ledger_captured, ledger_refunded, other_currencies, found_at, resolved_at)
SELECT merchant_id, id, 1, 0, 0, updated_at, CASE WHEN draw > 20 THEN now() END
FROM (SELECT *, row_number() OVER () AS draw FROM payments LIMIT 20000) AS payments;
INSERT INTO tasks (name, owner, lane, arguments, state, finished_at, priority, run_at, attempts)
SELECT CASE WHEN i % 1000 = 0 THEN 'check_ledger' ELSE 'webhooks.deliver' END, merchant_id::text, endpoint_id::text,
    '{}', state, CASE WHEN state <> 'pending' THEN now() END, 1 + i % 3, now() - make_interval(secs => i / 100.0), i % 2
FROM (SELECT *, row_number() OVER () AS i FROM webhook_deliveries) AS delivery, LATERAL (
    SELECT CASE WHEN i % 500 = 0 THEN 'dead' WHEN i % 500 = 1 THEN 'pending' ELSE 'succeeded' END AS state) AS chosen;
INSERT INTO task_queue (name, epoch, checkpoint) VALUES ('tasks', 7, first_uuid7_at(now() - interval '1 second'));
INSERT INTO task_dispatches (epoch, dispatch, worker, incarnation, tasks, runs)
SELECT 7, new_uuid7(), 'worker-1', 'first', array_agg(id), array_agg(attempts)
FROM (SELECT id, attempts, row_number() OVER (ORDER BY id) / 4 AS page FROM tasks) AS paged GROUP BY page;
UPDATE task_dispatches SET epoch = 6 WHERE id < (SELECT checkpoint FROM task_queue);
INSERT INTO task_uniques (name, unique_key, task_id) SELECT name, id::text, id FROM tasks WHERE state = 'pending';
INSERT INTO task_crons (name, last_at) VALUES ('check_ledger', now()), ('clean_up_keys', now());
INSERT INTO maintenance_journal (
    action, target, ordered_by, urgency, reason, statement, before, after, seconds, outcome)
SELECT 'vacuum', 'public.t' || i % 30, 'schedule', 'idle', '', '', '{}', '{}', 1, 'done'
FROM generate_series(1, 20000) AS i;
UPDATE ledger_checks SET position = 1;
"""


async def grow(url: str, payments: int) -> UUID:
    """Fill an empty schema; return the merchant that has half of it. Takes about 0.3 ms for each payment."""
    connection = await asyncpg.connect(url)
    try:
        merchants = sorted(new_id() for _ in range(_OTHERS + 1))
        await connection.execute(
            "INSERT INTO merchants (id, name) SELECT id, 'merchant ' || id FROM unnest($1::uuid[]) AS id", merchants
        )
        first = int(await connection.fetchval("SELECT pg_current_xact_id()::text::bigint"))
        # The planner is told of numbers that are past, so they have to be.
        for _ in range(0, payments, _XIDS_EACH):
            await connection.execute(_PASS_XIDS.format(count=_XIDS_EACH))
        await connection.execute(_SPREAD.format(first=2 * first))
        big, *others = merchants
        await generate_payments(url, payments, merchants=[big] * _OTHERS + others)
        await connection.execute(_GATHER)
        await connection.execute(_FILL)
        # What autovacuum would have done by now.
        await connection.execute("VACUUM (ANALYZE)")
        return big
    finally:
        await connection.close()
