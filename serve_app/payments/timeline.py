"""All that happened to a payment, in one order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from serve_app.domain.ids import Prefix, public_id
from serve_app.snapshots import rfc3339

_RANK = {"attempt_started": 0, "attempt_finished": 1, "posting": 2, "event": 3, "delivery": 4, "delivery_try": 5}
"""What comes first of one moment: an outcome, then what it moved, then who was told."""


def timeline(rows: Mapping[str, Sequence[Record]]) -> list[dict[str, Any]]:
    """Merge a payment's attempts, postings, events and their deliveries by time."""
    items = [
        *_attempts(rows["attempts"]),
        *_postings(rows["postings"]),
        *_events(rows["events"]),
        *_deliveries(rows["deliveries"]),
        *_tries(rows["tries"]),
    ]
    items.sort(key=lambda item: (item[0], _RANK[item[1]]))
    return [{"at": rfc3339(at), "kind": kind, "data": data} for at, kind, data in items]


_Item = tuple[datetime, str, dict[str, Any]]


def _attempts(rows: Sequence[Record]) -> Iterator[_Item]:
    for row in rows:
        name = {
            "attempt": public_id(Prefix.ATTEMPT, row["id"]),
            "operation": row["kind"],
            "amount": row["amount"],
        }
        yield row["started_at"], "attempt_started", {**name, "processor": row["processor"]}
        if row["finished_at"] is not None:
            result = {"state": row["state"], "reference": row["processor_reference"], "code": row["code"]}
            yield row["finished_at"], "attempt_finished", {**name, **result}


def _postings(rows: Sequence[Record]) -> Iterator[_Item]:
    for row in rows:
        yield (
            row["created_at"],
            "posting",
            {
                "attempt": public_id(Prefix.ATTEMPT, row["attempt_id"]),
                "debit": row["debit"],
                "credit": row["credit"],
                "amount": row["amount"],
                "currency": row["currency"],
            },
        )


def _events(rows: Sequence[Record]) -> Iterator[_Item]:
    for row in rows:
        yield (
            row["created_at"],
            "event",
            {
                "event": public_id(Prefix.EVENT, row["id"]),
                "type": row["type"],
                "sequence": row["sequence"],
            },
        )


def _deliveries(rows: Sequence[Record]) -> Iterator[_Item]:
    for row in rows:
        yield row["created_at"], "delivery", {**_delivery(row, row["id"]), "status": row["status"]}


def _tries(rows: Sequence[Record]) -> Iterator[_Item]:
    for row in rows:
        result = {
            "response_code": row["response_code"],
            "error": row["error"],
            "duration_ms": row["duration_ms"],
            "next_try_at": rfc3339(row["next_try_at"]) if row["next_try_at"] else None,
        }
        yield row["started_at"], "delivery_try", {**_delivery(row, row["delivery_id"]), **result}


def _delivery(row: Record, delivery_id: UUID) -> dict[str, Any]:
    return {
        "delivery": public_id(Prefix.WEBHOOK_DELIVERY, delivery_id),
        "endpoint": public_id(Prefix.WEBHOOK_ENDPOINT, row["endpoint_id"]),
        "event": public_id(Prefix.EVENT, row["event_id"]),
    }
