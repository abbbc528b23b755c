"""Batch jobs in the Ray of a running gateway, as the data team starts them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from serve_app.domain.ids import Prefix, parse_id
from tests.e2e.gateway import RunningGateway, easypay
from tests.e2e.merchant import Merchant
from tests.support.generated import generate_payments

_TIMEOUT_S = 240.0
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]


def _job(gateway: RunningGateway, name: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Run a job to its end; return its exit code and what it tells."""
    ended = easypay("job", name, "--data-dir", str(gateway.data_dir), "--json", *options, timeout_s=_TIMEOUT_S)
    assert ended.stdout, ended.stderr
    facts: dict[str, Any] = json.loads(ended.stdout)
    return ended.returncode, facts


def test_jobs_run_beside_a_gateway_that_serves(gateway: RunningGateway, merchant: Merchant) -> None:
    """A payment that every replica holds tells of its settlement as soon as the job has ended; the rest sums up."""
    own = parse_id(Prefix.MERCHANT, merchant.pay().json()["merchant"])
    assert isinstance(own, UUID)
    # Of a day that is over: a gateway makes payments of today.
    past = datetime(2026, 1, 1, tzinfo=UTC)
    asyncio.run(generate_payments(str(gateway.facts["database_url"]), 300, merchants=[own], days=1, since=past))
    listed = merchant.get("/v1/payments", limit=100, created_lt="2026-01-02T00:00:00Z").json()["data"]
    captured = [payment["id"] for payment in listed if payment["status"] == "captured"]
    for _ in range(10):
        assert all(merchant.payment(payment_id)["settlement"] is None for payment_id in captured)
    code, facts = _job(gateway, "settle", "--day", "2026-01-04")
    assert code == 0
    assert sum(day["payout_minor"] for day in facts["days"] if day["day"] == "2026-01-01") > 0
    for _ in range(10):
        assert all(merchant.payment(payment_id)["settlement"] for payment_id in captured)
    code, facts = _job(gateway, "verify_ledger")
    assert (code, facts["exceptions_total"]) == (0, 0)
    assert facts["counts"]["payments"] >= 301
    code, facts = _job(gateway, "export", "--until", "2026-01-05")
    assert (code, facts["rows"]["payments"]) == (0, 300)
    exported = pq.read_table(f"{facts['output']}/payments")
    assert set(captured) <= set(exported["id"].to_pylist())
    refused = easypay("job", "reconcile", "--data-dir", str(gateway.data_dir), timeout_s=_TIMEOUT_S)
    assert refused.returncode == 2
    assert "name either --report or --acquirer" in refused.stdout
