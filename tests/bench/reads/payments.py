"""Payments to read: one is made through the gateway, and copied in its database as often as is wanted."""

from __future__ import annotations

import json
import random
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from serve_app.domain.ids import Prefix, first_id_at, parse_id, public_id
from tests.bench.database import execute
from tests.bench.gateway import Gateway
from tests.bench.reads.sizes import entry_bytes
from tests.bench.subjects import easypay
from tests.bench.target import PAYMENT, probe

MODEL = {**PAYMENT, "description": "Order 1001", "customer": "cus_1001", "metadata": {"order": "1001"}}
CHANGE = {"metadata": {"order": "1002"}}

_COPY = """
INSERT INTO payments
SELECT copy.* FROM payments, unnest($2::uuid[]) AS wanted (id),
    jsonb_populate_record(payments, jsonb_build_object('id', wanted.id)) AS copy
WHERE payments.id = $1
ON CONFLICT DO NOTHING
"""
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 62


def make_payments(gateway: Gateway, count: int, draw: random.Random) -> tuple[str, ...]:
    """Have so many payments of the gateway's merchant; return their ids, in an order that tells nothing of their age.

    Drawn alike they have the same ids in every gateway, and more of them include fewer.
    """
    model = probe(replace(easypay(gateway).target, body=json.dumps(MODEL).encode()))
    model_id = parse_id(Prefix.PAYMENT, model["id"])
    assert model_id is not None
    ids = [_drawn_id(number, draw) for number in range(count)]
    execute(gateway.database_url, _COPY, model_id, ids)
    # Otherwise the server would do it by itself, at a moment of its own.
    execute(gateway.database_url, "VACUUM (ANALYZE) payments")
    draw.shuffle(ids)
    return tuple(public_id(Prefix.PAYMENT, each) for each in ids)


def size_in_cache(gateway: Gateway, payment_id: str) -> int:
    """Return what such a payment costs in a cache, in bytes."""
    request = urllib.request.Request(
        f"{gateway.url.rstrip('/')}/v1/payments/{payment_id}", headers={"Authorization": f"Bearer {gateway.api_key}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return entry_bytes(len(answer.read()))


def _drawn_id(number: int, draw: random.Random) -> UUID:
    """Return a UUIDv7 of a millisecond of its own."""
    first = first_id_at(_FIRST + timedelta(milliseconds=number))
    return UUID(int=first.int | draw.getrandbits(_RANDOM_BITS))
