"""Operators see and steer the database of a running gateway: connections, windows, indexes, maintenance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.gateway import RunningGateway, easypay
from tests.e2e.merchant import Merchant
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow]
_LEFT = 4


@pytest.fixture
def operator(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """Return a client with the admin key."""
    headers = {"Authorization": f"Bearer {gateway.facts['admin_key']}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as client:
        yield client


def _told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _fits(told: dict[str, Any]) -> bool:
    held: int = sum(lease["held"] for lease in told["leases"])
    return held <= _LEFT


def _by_command(gateway: RunningGateway, *words: str) -> dict[str, Any]:
    done = easypay("db", *words, "--json", "--data-dir", str(gateway.data_dir))
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_optimizer_answers_and_maintenance_is_known(operator: httpx.Client, gateway: RunningGateway) -> None:
    """In one place; the commands tell the same without it."""
    told = _told(operator.get("/ops/api/database"))
    assert told["optimizer"]["mode"] == "auto"
    assert told["maintenance"]["mode"] == "auto"
    assert told["maintenance"]["tables"]
    assert all(each["newest"] is not None for each in told["maintenance"]["partitions"])
    indexes = _by_command(gateway, "indexes")["data"]
    assert {"invalid", "duplicate"}.isdisjoint(index["fault"] for index in indexes)
    assert "steps" in _by_command(gateway, "maintain", "--dry-run")


def test_payments_go_on_in_a_maintenance_window(
    operator: httpx.Client, gateway: RunningGateway, merchant: Merchant
) -> None:
    """With the connections that are left; then the rest comes back."""
    before = _told(operator.get("/ops/api/database/pool"))
    assert before["leases"]
    assert before["window"] is None
    opened = _by_command(gateway, "pool", "window", "--connections", str(_LEFT), "--seconds", "300")
    try:
        assert opened["budget"] == _LEFT
        eventually(lambda: _told(operator.get("/ops/api/database/pool")), _fits, within_s=30)
        # As a client does: processes take turns, and one that comes at a bad moment may be told to come again.
        eventually(merchant.pay, lambda paid: paid.status_code == 201, within_s=10)
    finally:
        closed = _by_command(gateway, "pool", "resume")
    assert closed["budget"] == before["budget"]
    assert closed["window"] is None


def test_connections_and_statements_are_counted(operator: httpx.Client, merchant: Merchant) -> None:
    """Each process tells the manager what it used within some seconds."""
    merchant.pay()
    wanted = (
        "easypay_database_pool_uses_total",
        "easypay_database_statement_seconds_count",
        "easypay_optimizer_up 1.0",
    )

    def scraped() -> str:
        return operator.get("/metrics").text

    eventually(scraped, lambda text: all(name in text for name in wanted), within_s=30)
