"""Arguments for the statements of every queries.sql, sampled from a database that `grow` has filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from serve_app.domain.ids import first_id_at, new_id
from tests.support.generated import SINCE

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
BATCH = 32
"""Rows of a batch: as many as a group commit under load has."""
PAGE = 50
_LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)

Arguments = Mapping[int, Any]
"""Values by their number in the statement; what is not given does not matter for how rows are found."""


@dataclass(frozen=True)
class Sample:
    """Rows of one merchant in test mode, from the middle of what there is."""

    merchant: UUID
    merchants: list[UUID]
    payments: list[Any]
    open_attempts: list[Any]
    deliveries: list[Any]
    refunds: list[Any]
    keys: list[Any]
    tasks: list[Any]
    checkpoint: UUID
    """Of some dispatches ago: the owner of the queue sets it every ten seconds."""
    settlement: Any
    run: UUID
    position: Any
    """A posting in the middle of the books."""
    xid: int
    snapshot: str
    event: Any
    lines: list[str]

    @property
    def ids(self) -> list[UUID]:
        """The payments."""
        return [row["id"] for row in self.payments]

    @property
    def owners(self) -> list[UUID]:
        """The merchant, for each of a batch."""
        return [self.merchant] * len(self.payments)


async def sample(connection: asyncpg.Connection, merchant: UUID) -> Sample:
    """Draw it."""
    middle = await connection.fetchval(
        "SELECT id FROM payments WHERE merchant_id = $1 ORDER BY id OFFSET "
        "(SELECT count(*) / 2 FROM payments WHERE merchant_id = $1) LIMIT 1", merchant,
    )  # fmt: skip

    async def some(sql: str, *args: Any) -> list[Any]:
        found: list[Any] = await connection.fetch(f"{sql} LIMIT {BATCH}", *args)
        assert found, sql
        return found

    event = await connection.fetchrow(
        "SELECT * FROM events WHERE merchant_id = $1 AND NOT livemode AND object_id > $2 ORDER BY object_id LIMIT 1",
        merchant, middle,
    )  # fmt: skip
    return Sample(
        merchant,
        [row["merchant_id"] for row in await some("SELECT DISTINCT merchant_id FROM payments")],
        await some(
            "SELECT payments.*, attempts.id AS attempt_id, key FROM payments JOIN attempts "
            "ON attempts.merchant_id = payments.merchant_id AND payment_id = payments.id "
            "JOIN idempotency_keys ON idempotency_keys.attempt_id = attempts.id "
            "WHERE payments.merchant_id = $1 AND NOT payments.livemode AND payments.id >= $2 AND status = 'captured' "
            "ORDER BY payments.id", merchant, middle,
        ),
        await some("SELECT * FROM attempts WHERE state = 'unknown' ORDER BY id"),
        await some(
            "SELECT * FROM webhook_deliveries WHERE merchant_id = $1 AND NOT livemode AND event_id >= $2 "
            "ORDER BY event_id", merchant, event["id"],
        ),
        await some(
            "SELECT * FROM refunds WHERE merchant_id = $1 AND payment_id >= $2 ORDER BY payment_id", merchant, middle
        ),
        await some("SELECT * FROM api_keys ORDER BY digest"),
        await some("SELECT * FROM tasks WHERE state = 'succeeded' ORDER BY id DESC OFFSET 1000"),
        await connection.fetchval("SELECT id FROM task_dispatches ORDER BY id DESC OFFSET 100 LIMIT 1"),
        await connection.fetchrow("SELECT * FROM settlements WHERE merchant_id = $1 AND day = '2026-01-01'", merchant),
        await connection.fetchval("SELECT id FROM job_runs WHERE finished_at IS NULL"),
        await connection.fetchrow(
            "SELECT * FROM ledger_postings WHERE merchant_id = $1 AND payment_id >= $2 ORDER BY payment_id LIMIT 1",
            merchant, middle,
        ),
        int(await connection.fetchval("SELECT $1::xid8::text::bigint", event["xid"])),
        await connection.fetchval("SELECT pg_current_snapshot()::text"),
        event,
        [row["attempt"] for row in await some("SELECT attempt FROM reconciliation_entries ORDER BY line DESC")],
    )  # fmt: skip


def arguments(drawn: Sample) -> dict[str, Arguments]:
    """Return the arguments of every statement, by package and name; after a space follows what else it may be asked."""
    return {
        **_scheduler(drawn),
        **_attempts(drawn),
        **_reads(drawn),
        **_jobs(drawn),
        **_merchants(drawn),
        **_webhooks(drawn),
        **_maintenance(),
    }


def filled(given: Arguments, types: Sequence[str]) -> list[Any]:
    """Return all arguments of a statement, in order, with something of the right type where none is given."""
    count = next((len(value) for value in given.values() if isinstance(value, list)), BATCH)
    return [given[number] if number in given else _anything(name, count) for number, name in enumerate(types, 1)]


def _anything(name: str, count: int) -> Any:
    if name.endswith("[]"):
        return [_anything(name[:-2], count) for _ in range(count)]
    return {
        "uuid": new_id(), "text": "x", "bool": False, "bytea": bytes(32), "jsonb": "{}", "float8": 5.0,
        "int2": 1, "int4": 1, "int8": 1, "timestamptz": datetime.now(UTC), "date": date(2026, 1, 1), "name": "public",
    }[name]  # fmt: skip


def _in_order(*values: Any) -> Arguments:
    return dict(enumerate(values, 1))


def _scheduler(drawn: Sample) -> dict[str, Arguments]:
    ids, now = [row["id"] for row in drawn.tasks], datetime.now(UTC).timestamp()
    owner = {1: "tasks", 2: 7}
    here: dict[str, Arguments] = {
        "enqueue": {1: [new_id() for _ in ids], 4: [f"key {number}" for number, _ in enumerate(ids)]},
        "take_queue": {1: "tasks"},
        "silence": {1: "tasks"},
        "snapshot": {},
        "discover": _in_order(drawn.snapshot, 1000),
        "fetch": _in_order(2, now - 100.0, FIRST, now, PAGE),
        "heads": _in_order(1000),
        "record": {**owner, 3: ids, 4: ["succeeded"] * len(ids)},
        "checkpoint": owner,
        "open_dispatches": _in_order(8, drawn.checkpoint),
        "progress": {**owner, 3: ids, 4: ["{}"] * len(ids)},
        "redrive": _in_order(ids),
        "find_task": _in_order(ids[0]),
        "list_tasks": _in_order(LAST, None, None, PAGE),
        "list_tasks of a function": _in_order(LAST, "check_ledger", None, PAGE),
        "list_pending": _in_order(LAST, None, PAGE),
        "list_dead": _in_order(LAST, None, PAGE),
        "begin_crons": _in_order(["check_ledger"]),
        "fire": {**owner, 3: "check_ledger"},
    }
    return {f"actors.scheduler.{name}": given for name, given in here.items()}


def _attempts(drawn: Sample) -> dict[str, Arguments]:
    owners, ids = drawn.owners, drawn.ids
    attempts, keys = [row["attempt_id"] for row in drawn.payments], [row["key"] for row in drawn.payments]
    test = [False] * len(ids)
    open_ids = [row["id"] for row in drawn.open_attempts]
    of_open = {
        1: [row["merchant_id"] for row in drawn.open_attempts],
        2: [row["payment_id"] for row in drawn.open_attempts],
        3: open_ids,
    }
    here: dict[str, Arguments] = {
        "begin_payments": {1: owners},
        "begin_operations": {1: owners, 2: ids, 5: [row["version"] + 1 for row in drawn.payments]},
        "conclude": of_open,
        "find_claims": _in_order(owners, test, keys),
        "find_attempts": _in_order(owners, ids, attempts),
        "find_open": _in_order([row["processor"] for row in drawn.open_attempts], open_ids),
        "mark_unknown": of_open,
        "list_overdue": _in_order(PAGE),
        "postpone": of_open,
        "release_claim": _in_order(owners[0], False, keys[0], ids[0], attempts[0]),
    }
    return {f"serve_app.attempts.{name}": given for name, given in here.items()}


def _reads(drawn: Sample) -> dict[str, Arguments]:
    merchant, ids = drawn.merchant, drawn.ids
    refund = drawn.refunds[0]
    payment = refund["payment_id"]
    page = (merchant, False, LAST, FIRST)
    return {
        "serve_app.payments.find_payments": _in_order(drawn.owners, [False] * len(ids), ids),
        "serve_app.payments.list_payments": _in_order(*page, None, None, None, PAGE),
        "serve_app.payments.list_payments of a status": _in_order(*page, "voided", None, None, PAGE),
        "serve_app.payments.list_payments of a time": _in_order(
            merchant,
            False,
            first_id_at(SINCE + timedelta(days=1, hours=1)),
            first_id_at(SINCE + timedelta(days=1)),
            None,
            SINCE + timedelta(days=1),
            SINCE + timedelta(days=1, hours=1),
            PAGE,
        ),
        "serve_app.payments.update_payments": {1: drawn.owners, 2: ids},
        **{
            f"serve_app.payments.timeline_{what}": _in_order(merchant, payment, PAGE)
            for what in ("attempts", "postings", "events", "deliveries", "tries")
        },
        "serve_app.refunds.find_refund": _in_order(merchant, refund["id"], False),
        "serve_app.refunds.list_refunds": _in_order(merchant, payment, LAST, PAGE),
        "serve_app.audit.list_audit_entries": _in_order(merchant, False, LAST, None, PAGE),
        "serve_app.audit.list_audit_entries of an object": _in_order(merchant, False, LAST, f"pay_{payment.hex}", PAGE),
        "serve_app.audit.put_operator_entries": {1: drawn.owners, 2: ids},
        "serve_app.ops.find_payment_owner": _in_order(payment),
        "serve_app.ops.find_delivery_owner": _in_order(drawn.deliveries[0]["id"]),
        "serve_app.ops.unsuccessful_deliveries": _in_order(first_id_at(SINCE), PAGE, 4 * PAGE),
        "serve_app.exports.list_merchants": _in_order(FIRST, PAGE),
        "serve_app.exports.first_payment": _in_order(drawn.merchants),
        **{
            f"serve_app.exports.merchants_of_{what}": _in_order(drawn.merchants, ids[0], ids[-1])
            for what in ("payments", "refunds", "events")
        },
        **{
            f"serve_app.exports.{what}": _in_order(merchant, ids[0], ids[-1], PAGE)
            for what in ("payments", "refunds", "events")
        },
        "serve_app.exports.replica_is_behind": {},
    }


def _jobs(drawn: Sample) -> dict[str, Arguments]:
    merchant, ids, run = drawn.merchant, drawn.ids, drawn.run
    low, high = ids[0], ids[-1]
    posting = drawn.position
    place = (posting["created_at"], posting["merchant_id"], posting["payment_id"], posting["attempt_id"])
    until, day = posting["created_at"] + timedelta(hours=1), date(2026, 1, 1)
    old = SINCE + timedelta(hours=1)
    attempts = [row["attempt_id"] for row in drawn.payments]
    here: dict[str, Arguments] = {
        "batch.begin_run": {2: "reconcile", 3: "report 5"},
        "batch.find_open_run": _in_order("reconcile"),
        "batch.lock_run": _in_order(run),
        "batch.save_run": {1: run},
        "batch.add_exceptions": {1: run},
        "batch.finish_run": {1: run},
        "batch.count_exceptions": _in_order(run),
        "batch.list_exceptions": _in_order(run, PAGE),
        "batch.discard_runs": _in_order("reconcile", new_id()),
        "expiry.list_expired": _in_order(SINCE + timedelta(hours=2), _LONG_AGO, FIRST, FIRST, SINCE, PAGE),
        "ledger_checks.find_position": {},
        "ledger_checks.list_changed": _in_order(drawn.xid, drawn.xid + 200, PAGE),
        "ledger_checks.compare": _in_order(drawn.owners, ids),
        "ledger_checks.move_position": _in_order(1, 2),
        "ledger_checks.list_open": _in_order(PAGE),
        "reconciliation.stage": {1: run},
        "reconciliation.repeated_lines": {1: run, 3: drawn.lines},
        "reconciliation.cancel_undone": _in_order(run),
        "reconciliation.match": _in_order(run, *place, PAGE, "acquirer", FIRST, LAST),
        "reconciliation.take_unmet": _in_order(run, "a", "b", PAGE),
        "reconciliation.drop_others": _in_order(run, PAGE),
        "retention.list_old_keys": _in_order(old, PAGE),
        "retention.delete_keys": _in_order(
            drawn.owners, [False] * len(ids), [row["key"] for row in drawn.payments], old
        ),
        "settlements.next_day": {},
        "settlements.begin_day": {1: day},
        "settlements.end_phase": _in_order(day, "collecting", "closing"),
        "settlements.count_postings": _in_order(posting["created_at"], posting["created_at"] + timedelta(minutes=1)),
        "settlements.postings_to_collect": _in_order(*place, until, PAGE, day),
        "settlements.collect": {1: drawn.owners, 2: ids, 3: attempts},
        "settlements.settlements_to_close": _in_order(day, FIRST, FIRST, PAGE),
        "settlements.close_settlements": {1: [merchant], 2: [drawn.settlement["id"]]},
        "settlements.captures_to_mark": _in_order(*place, until, PAGE, day),
        "settlements.mark_payments": {1: drawn.owners, 2: ids},
        "settlements.payouts": _in_order(day, False, FIRST, FIRST, PAGE),
        "settlements.day_totals": _in_order(day),
        "verification.next_merchant": _in_order(FIRST),
        "verification.payments_after": _in_order(merchant, low, PAGE),
        **{
            f"verification.{what}_between": _in_order(merchant, low, high)
            for what in ("attempts", "postings", "refunds", "events", "settlements")
        },
        "verification.refund_events": _in_order(merchant, [row["id"] for row in drawn.refunds]),
        "verification.known_settlements": _in_order(merchant, [drawn.settlement["id"]]),
        "verification.last_settled_day": {},
        "verification.estimate_payments": {},
    }
    return {f"serve_app.{name}": given for name, given in here.items()}


def _merchants(drawn: Sample) -> dict[str, Arguments]:
    digests, key = [row["digest"] for row in drawn.keys], drawn.keys[0]["id"]
    here: dict[str, Arguments] = {
        "find_keys": _in_order(digests),
        "put_merchant": {2: "merchant"},
        "create_key": {},
        "is_valid_key": _in_order(digests[0]),
        "list_keys": _in_order(30),
        "revoke_key": _in_order(key),
        "apply_key_usage": {1: [row["id"] for row in drawn.keys]},
        "audit_key": {},
    }
    return {f"serve_app.merchants.{name}": given for name, given in here.items()}


def _webhooks(drawn: Sample) -> dict[str, Arguments]:
    merchant, delivery, event = drawn.merchant, drawn.deliveries[0], drawn.event
    endpoint = delivery["endpoint_id"]
    one, listed = {1: merchant, 2: False, 3: endpoint}, (merchant, False, LAST, None, None)
    owners = [merchant] * len(drawn.deliveries)
    deliveries = [row["id"] for row in drawn.deliveries]
    here: dict[str, Arguments] = {
        "create_endpoint": {1: merchant},
        "find_endpoint": one,
        "change_endpoint": one,
        "rotate_secret": one,
        "delete_endpoint": one,
        "ping_endpoint": one,
        "order_redelivery": one,
        "list_endpoints": _in_order(merchant, False),
        "disable_endpoint": {1: merchant, 2: endpoint},
        "redeliver_page": {**one, 4: event["id"], 5: LAST, 7: PAGE},
        "retry_delivery": {1: merchant, 2: False, 3: delivery["id"]},
        "find_delivery": _in_order(merchant, False, delivery["id"]),
        "list_tries": _in_order(merchant, delivery["id"], PAGE),
        "list_deliveries": _in_order(*listed, None, PAGE),
        "list_deliveries of an event": _in_order(merchant, False, LAST, None, event["id"], None, PAGE),
        "list_deliveries of an endpoint": _in_order(merchant, False, LAST, endpoint, None, None, PAGE),
        "list_unsuccessful_deliveries": _in_order(*listed, "failed", PAGE),
        "load_deliveries": _in_order(owners, deliveries),
        "record_tries": {1: owners, 2: deliveries, 3: [endpoint] * len(deliveries)},
        "drop_delivery": {1: merchant, 2: delivery["id"]},
        "find_event": _in_order(merchant, False, event["id"]),
        "feed_start": _in_order(merchant, False, None, PAGE),
        "feed_start of a type": _in_order(merchant, False, "payment.voided", PAGE),
        "feed_after": _in_order(merchant, False, None, PAGE, str(drawn.xid), event["id"]),
    }  # fmt: skip
    return {f"serve_app.webhooks.{name}": given for name, given in here.items()}


def _maintenance() -> dict[str, Arguments]:
    here: dict[str, Arguments] = {
        "server": {},
        "tables": _in_order("public", None),
        "indexes": _in_order("public", None),
        "has_pgstattuple": {},
        "partitions": _in_order("public", ["tasks", "task_dispatches"]),
        "active_sessions": _in_order("easypay"),
        "take_turn": _in_order(1),
        "history": {},
        "begin_entry": {7: "{}"},
        "end_entry": {4: "{}"},
        "end_interrupted": {},
        "prune_journal": {},
        "list_journal": _in_order(PAGE),
        "holders": _in_order("easypay"),
        "end_session": {},
    }
    return {f"actors.maintenance.{name}": given for name, given in here.items()}
