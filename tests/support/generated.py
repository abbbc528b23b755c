"""Makes many payments at once by set-based SQL: with the attempts, refunds, postings and events that the domain model
makes of them.

The model runs once for each kind of life; amounts, times and ids are the database's work. `verify_ledger` replays what
comes of it, so a test keeps the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from serve_app.domain.attempt import Attempt, AttemptKind, AttemptState, Outcome
from serve_app.domain.ids import new_id
from serve_app.domain.payment import Payment, begin, conclude
from tests.unit.domain.builders import new_payment

CHUNK = 50_000
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_SAMPLE = 1200
# What share of a payment an amount is, as SQL and as a function.
_SHARES: dict[str, tuple[str, Callable[[int], int]]] = {
    "none": ("0", lambda _amount: 0),
    "all": ("amount", lambda amount: amount),
    "half": ("amount / 2", lambda amount: amount // 2),
    "third": ("amount / 3", lambda amount: amount // 3),
    "rest": ("amount - amount / 3", lambda amount: amount - amount // 3),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One attempt of a life, `delay_s` after the payment was made."""

    kind: AttemptKind
    state: AttemptState
    share: str = "all"
    delay_s: float = 0.0
    capture: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """A kind of payment, with how many in a thousand are of it."""

    name: str
    per_mille: int
    operations: Sequence[Operation]


_TAKEN = Operation(AttemptKind.AUTHORIZE, AttemptState.SUCCEEDED, capture=True)
_HELD = Operation(AttemptKind.AUTHORIZE, AttemptState.SUCCEEDED)
_DONE, _DAY_S = AttemptState.SUCCEEDED, 86_400.0
LIVES = (
    Life("captured", 690, [_TAKEN]),
    Life("declined", 60, [Operation(AttemptKind.AUTHORIZE, AttemptState.DECLINED, capture=True)]),
    Life("failed", 20, [Operation(AttemptKind.AUTHORIZE, AttemptState.FAILED, capture=True)]),
    Life("open", 5, [Operation(AttemptKind.AUTHORIZE, AttemptState.UNKNOWN, capture=True)]),
    Life("held", 30, [_HELD]),
    Life("captured_later", 40, [_HELD, Operation(AttemptKind.CAPTURE, _DONE, delay_s=600)]),
    Life("captured_partly", 20, [_HELD, Operation(AttemptKind.CAPTURE, _DONE, "half", 600)]),
    Life("voided", 25, [_HELD, Operation(AttemptKind.VOID, _DONE, delay_s=600)]),
    Life("refunded_partly", 50, [_TAKEN, Operation(AttemptKind.REFUND, _DONE, "third", _DAY_S)]),
    Life("refund_refused", 10, [_TAKEN, Operation(AttemptKind.REFUND, AttemptState.DECLINED, "third", 60)]),
    Life("refund_open", 5, [_TAKEN, Operation(AttemptKind.REFUND, AttemptState.UNKNOWN, "third", 60)]),
    Life(
        "refunded",
        45,
        [
            _TAKEN,
            Operation(AttemptKind.REFUND, _DONE, "third", 60),
            Operation(AttemptKind.REFUND, _DONE, "rest", 2 * _DAY_S),
        ],
    ),
)

_PLAN = """
CREATE TEMP TABLE plan ON COMMIT DROP AS
SELECT i, merchant_id, pg_temp.an_id(created_at, 'pay' || i || merchant_id) AS payment_id, created_at, amount, currency,
    livemode, life
FROM (
    SELECT i, ($3::uuid[])[1 + i % cardinality($3::uuid[])] AS merchant_id,
        $4::timestamptz + i * make_interval(secs => $5::float8) AS created_at,
        1000 + (i * 7919) % 20000 AS amount, (ARRAY['USD', 'EUR', 'JPY'])[1 + i / 7 % 3] AS currency,
        i % 11 = 0 AS livemode, (i * 617 + i / 1000) % 1000 AS draw
    FROM generate_series($1::bigint, $2::bigint - 1) AS i
) AS numbered JOIN unnest($6::text[], $7::int[], $8::int[]) AS lives (life, low, high) ON draw >= low AND draw < high
"""
_STEPS = """
CREATE TEMP TABLE steps ON COMMIT DROP AS
SELECT plan.*, shape.ordinal, kind, state, capture, status, version, sequence, event_type, moves,
    CASE share {shares} END AS step_amount, CASE captured {shares} END AS captured_after,
    CASE refunded {shares} END AS refunded_after, CASE pending {shares} END AS pending_after, is_last,
    created_at + make_interval(secs => delay_s) AS started_at,
    created_at + make_interval(secs => delay_s + 0.05) AS finished_at,
    pg_temp.an_id(created_at + make_interval(secs => delay_s), 'att' || payment_id || shape.ordinal) AS attempt_id,
    pg_temp.an_id(created_at + make_interval(secs => delay_s + 0.05), 'evt' || payment_id || shape.ordinal) AS event_id,
    CASE WHEN kind = 'refund' THEN
        pg_temp.an_id(created_at + make_interval(secs => delay_s), 'rf' || payment_id || shape.ordinal)
    END AS refund_id,
    CASE WHEN kind = 'refund' THEN pg_temp.an_id(
        created_at + make_interval(secs => delay_s + 0.05), 'rfe' || payment_id || shape.ordinal)
    END AS refund_event_id,
    CASE state WHEN 'declined' THEN 'insufficient_funds' WHEN 'failed' THEN 'processor_error' END AS code,
    state NOT IN ('started', 'unknown') AS is_final
FROM plan JOIN unnest(
    $1::text[], $2::int[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::float8[], $8::text[], $9::bigint[],
    $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::boolean[]
) AS shape (life, ordinal, kind, state, capture, share, delay_s, status, version, sequence, event_type, moves, captured,
    refunded, pending, is_last) USING (life)
"""
_FUNCTION = """
CREATE OR REPLACE FUNCTION pg_temp.an_id(at timestamptz, name text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(name), 1, 3)
        || '8' || substr(md5(name), 4, 15))::uuid
$$
"""
_FILL = """
INSERT INTO payments (merchant_id, id, livemode, amount, amount_captured, amount_refunded, amount_refund_pending,
    currency, status, token, brand, last4, processor, processor_reference, decline_code, metadata, version, sequence,
    pending_attempt, created_at, updated_at)
SELECT merchant_id, payment_id, livemode, amount, captured_after, refunded_after, pending_after, currency, status,
    'tok_visa', 'visa', '4242', 'acquirer', CASE WHEN is_final OR ordinal > 1 THEN 'authorize_' || i END,
    CASE WHEN status = 'declined' THEN code END, '{}', version, sequence,
    CASE WHEN NOT is_final AND kind <> 'refund' THEN attempt_id END, created_at,
    CASE WHEN is_final THEN finished_at ELSE started_at END
FROM steps WHERE is_last ORDER BY merchant_id, payment_id;
INSERT INTO attempts (merchant_id, payment_id, id, refund_id, kind, state, amount, capture, processor,
    processor_reference, code, request_id, key_id, answer_event, started_at, deadline_at, finished_at)
SELECT merchant_id, payment_id, attempt_id, refund_id, kind, state, step_amount, capture, 'acquirer',
    CASE WHEN is_final THEN kind || '_' || i END, code, 'req_generated', merchant_id,
    CASE WHEN is_final THEN coalesce(refund_event_id, event_id) END, started_at, started_at + interval '20 years',
    CASE WHEN is_final THEN finished_at END
FROM steps ORDER BY merchant_id, payment_id, attempt_id;
INSERT INTO refunds (merchant_id, id, payment_id, amount, currency, status, processor_reference, failure_code,
    created_at, updated_at)
SELECT merchant_id, refund_id, payment_id, step_amount, currency,
    CASE state WHEN 'succeeded' THEN 'succeeded' WHEN 'unknown' THEN 'processing' ELSE 'failed' END,
    CASE WHEN is_final THEN kind || '_' || i END, code, started_at,
    CASE WHEN is_final THEN finished_at ELSE started_at END
FROM steps WHERE kind = 'refund' ORDER BY merchant_id, refund_id;
INSERT INTO ledger_postings (merchant_id, payment_id, attempt_id, debit, credit, amount, currency, created_at)
SELECT merchant_id, payment_id, attempt_id,
    CASE moves WHEN 'in' THEN 'processor_receivable' ELSE 'merchant_payable' END,
    CASE moves WHEN 'in' THEN 'merchant_payable' ELSE 'processor_receivable' END, step_amount, currency, finished_at
FROM steps WHERE moves IS NOT NULL ORDER BY finished_at;
INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at)
SELECT merchant_id, event_id, livemode, event_type, payment_id, sequence,
    json_build_object('id', 'pay_' || replace(payment_id::text, '-', ''), 'object', 'payment', 'merchant',
        'mer_' || replace(merchant_id::text, '-', ''), 'livemode', livemode, 'amount', amount,
        'amount_captured', captured_after, 'amount_refunded', refunded_after, 'currency', currency, 'status', status,
        'payment_method', json_build_object('token', 'tok_visa', 'brand', 'visa', 'last4', '4242'),
        'processor', 'acquirer', 'processor_reference', 'authorize_' || i,
        'decline_code', CASE WHEN status = 'declined' THEN code END, 'description', NULL, 'customer', NULL,
        'metadata', json_build_object(), 'version', version, 'settlement', NULL,
        'created_at', created_at, 'updated_at', finished_at)::text, finished_at
FROM steps WHERE is_final
UNION ALL
SELECT merchant_id, refund_event_id, livemode,
    CASE WHEN state = 'succeeded' THEN 'refund.succeeded' ELSE 'refund.failed' END, refund_id, 1,
    json_build_object('id', 'rf_' || replace(refund_id::text, '-', ''), 'object', 'refund', 'amount', step_amount,
        'currency', currency, 'status', CASE WHEN state = 'succeeded' THEN 'succeeded' ELSE 'failed' END)::text,
    finished_at
FROM steps WHERE is_final AND kind = 'refund';
"""


async def generate_payments(
    url: str,
    count: int,
    *,
    merchants: int | Sequence[UUID] = 20,
    days: float = 3.0,
    since: datetime = SINCE,
    prefix: str = "generated",
) -> None:
    """Make `count` payments of so many new merchants, or of these, evenly over so many days.

    Refunds come up to two days later. The ids depend on merchants, times and numbers alone.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_FUNCTION)
        ids = list(merchants) if not isinstance(merchants, int) else await _merchants(connection, merchants, prefix)
        for low in range(0, count, CHUNK):
            async with connection.transaction():
                high = min(low + CHUNK, count)
                await connection.execute(_PLAN, low, high, ids, since, days * _DAY_S / count, *_life_columns())
                shapes = [shape for life in LIVES for shape in _shapes(life)]
                await connection.execute(_STEPS.format(shares=_share_cases()), *zip(*shapes, strict=True))
                await connection.execute(_FILL)
        await connection.execute("ANALYZE payments, attempts, refunds, ledger_postings, events")
    finally:
        await connection.close()


async def _merchants(connection: Any, count: int, prefix: str) -> list[Any]:
    ids = sorted(new_id() for _ in range(count))
    names = [f"{prefix} {number} of {ids[0].hex}" for number in range(count)]
    await connection.execute(
        "INSERT INTO merchants (id, name) SELECT * FROM unnest($1::uuid[], $2::text[])", ids, names
    )
    return ids


def _life_columns() -> tuple[list[str], list[int], list[int]]:
    lows, low = [], 0
    for life in LIVES:
        lows.append(low)
        low += life.per_mille
    assert low == 1000, "every payment has one life"
    return [life.name for life in LIVES], lows, [*lows[1:], 1000]


def _share_cases() -> str:
    return " ".join(f"WHEN '{name}' THEN {sql}" for name, (sql, _) in _SHARES.items())


def _shapes(life: Life) -> Iterator[tuple[Any, ...]]:
    """Run the domain model over a life; yield what each step leaves behind, with amounts as shares."""
    authorization = life.operations[0]
    attempt = Attempt(new_id(), AttemptKind.AUTHORIZE, _SAMPLE, authorization.capture, "acquirer", 5.0)
    payment = new_payment(amount=_SAMPLE, pending_attempt=attempt.id)
    for ordinal, operation in enumerate(life.operations, 1):
        amount = _SHARES[operation.share][1](_SAMPLE)
        if ordinal > 1:
            attempt_id = new_id()
            payment, amount = begin(payment, operation.kind, attempt_id, amount, SINCE)
            attempt = Attempt(attempt_id, operation.kind, amount, False, "acquirer", 5.0)
        event, moves = "", None
        if not operation.state.is_open:
            conclusion = conclude(payment, attempt, Outcome(operation.state, SINCE, code="insufficient_funds"))
            payment, event = conclusion.payment, conclusion.event.value
            if conclusion.posting is not None:
                moves = "out" if operation.kind is AttemptKind.REFUND else "in"
        yield _shape(life, ordinal, operation, payment, event, moves)


def _shape(
    life: Life, ordinal: int, operation: Operation, payment: Payment, event: str, moves: str | None
) -> tuple[Any, ...]:
    return (
        life.name, ordinal, operation.kind.value, operation.state.value, operation.capture, operation.share,
        operation.delay_s, payment.status.value, payment.version, payment.sequence, event, moves,
        _share_of(payment.amount_captured), _share_of(payment.amount_refunded),
        _share_of(payment.amount_refund_pending), ordinal == len(life.operations),
    )  # fmt: skip


def _share_of(amount: int) -> str:
    return next(name for name, (_, share) in _SHARES.items() if share(_SAMPLE) == amount)
