"""The columns of the exported tables."""

from __future__ import annotations

from typing import TypeAlias

import pyarrow as pa

Schema: TypeAlias = pa.Schema
"""pyarrow ships no types; the alias says what is meant."""

_MOMENT = pa.timestamp("us", tz="UTC")


def _schema(**columns: pa.DataType) -> Schema:
    return pa.schema(list(columns.items()))


SCHEMAS: dict[str, Schema] = {
    "payments": _schema(
        id=pa.string(),
        merchant=pa.string(),
        livemode=pa.bool_(),
        amount=pa.int64(),
        amount_captured=pa.int64(),
        amount_refunded=pa.int64(),
        currency=pa.string(),
        status=pa.string(),
        brand=pa.string(),
        last4=pa.string(),
        processor=pa.string(),
        processor_reference=pa.string(),
        decline_code=pa.string(),
        description=pa.string(),
        customer=pa.string(),
        metadata=pa.string(),
        version=pa.int64(),
        settlement=pa.string(),
        settled_at=_MOMENT,
        created_at=_MOMENT,
        updated_at=_MOMENT,
    ),
    "refunds": _schema(
        id=pa.string(),
        merchant=pa.string(),
        payment=pa.string(),
        amount=pa.int64(),
        currency=pa.string(),
        reason=pa.string(),
        status=pa.string(),
        processor_reference=pa.string(),
        failure_code=pa.string(),
        created_at=_MOMENT,
        updated_at=_MOMENT,
    ),
    "events": _schema(
        id=pa.string(),
        merchant=pa.string(),
        livemode=pa.bool_(),
        type=pa.string(),
        object_id=pa.string(),
        sequence=pa.int64(),
        data=pa.string(),
        created_at=_MOMENT,
    ),
}
"""Amounts are in minor units; ids are those that merchants see; `metadata` and `data` are JSON."""
