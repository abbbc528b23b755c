"""What is cached is what the database has, at once and through every replica."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.gateway import RunningGateway, easypay
from tests.e2e.merchant import Merchant
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow]

_CACHE = "/ops/api/cache"
_METRICS = "/metrics"


@pytest.fixture
def operator(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """Return the client of an operator."""
    headers = {"Authorization": f"Bearer {gateway.facts['admin_key']}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as client:
        yield client


def _counts(operator: httpx.Client, model: str) -> dict[str, Any]:
    return dict(operator.get(_CACHE).json()["models"].get(model, {"loads": 0, "near_hits": 0, "reads": 0}))


def _scraped(operator: httpx.Client, name: str, **labels: str) -> float:
    """Return the sum of the samples of this name that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(operator.get(_METRICS).text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def _everywhere(gateway: RunningGateway, merchant: Merchant, path: str) -> list[bytes]:
    """Read a path over several connections of their own, so that every replica answers."""
    answers: list[bytes] = []
    for _ in range(8):
        with httpx.Client(base_url=gateway.url, headers=merchant.http.headers, timeout=30) as client:
            answers.append(client.get(path).content)
    return answers


def test_what_is_written_through_is_what_the_database_has(
    gateway: RunningGateway, merchant: Merchant, operator: httpx.Client
) -> None:
    """The answer of a change, the cached payment and the stored one are the same bytes."""
    created = merchant.pay(capture=False)
    path = f"/v1/payments/{created.json()['id']}"
    assert set(_everywhere(gateway, merchant, path)) == {created.content}
    captured = merchant.post(f"{path}/capture", {"amount": 700})
    assert set(_everywhere(gateway, merchant, path)) == {captured.content}
    changed = merchant.http.patch(path, json={"description": "changed"})
    assert set(_everywhere(gateway, merchant, path)) == {changed.content}
    assert operator.post(f"{_CACHE}/invalidate", json={"models": ["payment"]}).json()["dropped"] >= 1
    assert set(_everywhere(gateway, merchant, path)) == {changed.content}


def test_a_refund_and_its_lists_are_current(gateway: RunningGateway, merchant: Merchant) -> None:
    """Each refund shows in the refund, in the payment's list of them and in the payment, after its own answer."""
    payment = f"/v1/payments/{merchant.pay(amount=1000).json()['id']}"
    for number in range(1, 4):
        refund = merchant.post(f"{payment}/refunds", {"amount": 100})
        assert refund.status_code == 201
        assert set(_everywhere(gateway, merchant, f"/v1/refunds/{refund.json()['id']}")) == {refund.content}
        for page in _everywhere(gateway, merchant, f"{payment}/refunds"):
            assert json.loads(page)["data"][0]["id"] == refund.json()["id"]
            assert len(json.loads(page)["data"]) == number
        for read in _everywhere(gateway, merchant, payment):
            assert json.loads(read)["amount_refunded"] == 100 * number


def test_lists_and_the_audit_log_are_current(gateway: RunningGateway, merchant: Merchant) -> None:
    """A page that every replica has shown has the next change at once."""
    for number in range(1, 4):
        payment = merchant.pay(capture=False).json()
        for page in _everywhere(gateway, merchant, "/v1/payments?limit=5"):
            assert json.loads(page)["data"][0]["id"] == payment["id"]
            assert len(json.loads(page)["data"]) == number
        captured = merchant.post(f"/v1/payments/{payment['id']}/capture", {})
        assert captured.status_code == 200
        for page in _everywhere(gateway, merchant, "/v1/payments?status=captured"):
            assert len(json.loads(page)["data"]) == number
        for page in _everywhere(gateway, merchant, "/v1/audit_log"):
            assert json.loads(page)["data"][0]["action"] == "payment.capture"


def test_a_payment_that_is_not_there_is_remembered_as_such(merchant: Merchant, operator: httpx.Client) -> None:
    """Asking for it again and again costs one load."""
    missing = "/v1/payments/pay_" + "0" * 31 + "1"
    before = _counts(operator, "payment")
    assert {merchant.get(missing).status_code for _ in range(20)} == {404}
    after = eventually(
        lambda: _counts(operator, "payment"), lambda counts: counts["reads"] >= before["reads"] + 20, within_s=5
    )
    # It is near in each of the two replicas, and remembered for five seconds.
    assert 1 <= after["loads"] - before["loads"] <= 2


def test_reads_are_near_hits(merchant: Merchant, operator: httpx.Client) -> None:
    """A payment that is read again is served by the replica itself."""
    path = f"/v1/payments/{merchant.pay().json()['id']}"
    before = _counts(operator, "payment")
    for _ in range(100):
        assert merchant.get(path).status_code == 200
    after = eventually(
        lambda: _counts(operator, "payment"), lambda counts: counts["reads"] >= before["reads"] + 100, within_s=5
    )
    assert after["near_hits"] - before["near_hits"] >= 90


def test_metrics_are_for_operators(operator: httpx.Client, merchant: Merchant, anonymous: httpx.Client) -> None:
    """As text that Prometheus can read; of both shards, whichever replica answers."""
    assert anonymous.get(_METRICS).status_code == 401
    assert merchant.get(_METRICS).status_code == 403
    answer = operator.get(_METRICS)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert _scraped(operator, "easypay_cache_shard_up") == 2
    assert 0 < _scraped(operator, "easypay_cache_bytes") < _scraped(operator, "easypay_cache_limit_bytes")


def test_metrics_count_reads_and_how_long_they_took(
    gateway: RunningGateway, merchant: Merchant, operator: httpx.Client
) -> None:
    """Of all replicas together: near hits, the database's answers, the wait of writers. Both ways of asking agree."""
    path = f"/v1/payments/{merchant.pay(capture=False).json()['id']}"
    assert merchant.post(f"{path}/capture", {}).status_code == 200
    assert operator.post(f"{_CACHE}/invalidate", json={"models": ["payment"]}).status_code == 200
    before = _scraped(operator, "easypay_cache_reads_total", model="payment")
    for _ in range(50):
        assert merchant.get(path).status_code == 200
    eventually(
        lambda: _scraped(operator, "easypay_cache_reads_total", model="payment"),
        lambda reads: reads >= before + 50,
        within_s=5,
    )
    counts = _counts(operator, "payment")
    latency = counts["latency"]
    for level in ("shard", "database", "begin"):
        assert 0 < latency[level]["p50_s"] <= latency[level]["p99_s"] < 10
    seconds = "easypay_cache_read_seconds"
    assert _scraped(operator, f"{seconds}_count", model="payment", level="database") >= latency["database"]["count"] > 0
    assert _scraped(operator, f"{seconds}_count", model="payment", level="redis") > 0
    assert (
        _scraped(operator, f"{seconds}_bucket", model="payment", level="shard", le="+Inf") >= latency["shard"]["count"]
    )
    assert _scraped(operator, "easypay_cache_change_begin_seconds_count", model="payment") > 0
    shown = easypay("cache", "stats", "--data-dir", str(gateway.data_dir)).stdout
    assert "p50 / p99 in ms" in shown


def test_the_command_line_shows_and_steers(gateway: RunningGateway, merchant: Merchant) -> None:
    """Statistics, invalidation, warming; a wrong model is named."""
    directory = ("--data-dir", str(gateway.data_dir))
    payments = [merchant.pay().json() for _ in range(5)]
    assert {merchant.get(f"/v1/payments/{payment['id']}").status_code for payment in payments} == {200}
    stats = json.loads(easypay("cache", "stats", "--json", *directory).stdout)
    assert [shard["ready"] for shard in stats["shards"]] == [True, True]
    assert json.loads(easypay("cache", "invalidate", "--model", "payment", "--json", *directory).stdout)["dropped"] >= 5
    warmed = easypay("cache", "warm", "--merchant", payments[0]["merchant"], "--json", *directory)
    assert json.loads(warmed.stdout) == {"payments": 5}
    dropped = easypay("cache", "invalidate", "--model", "payment", "--json", *directory)
    assert json.loads(dropped.stdout)["dropped"] >= 5
    wrong = easypay("cache", "invalidate", "--model", "card", *directory)
    assert wrong.returncode == 1
    assert "models" in wrong.stderr


def test_the_number_of_shards_can_be_changed(gateway: RunningGateway, operator: httpx.Client) -> None:
    """By command and by request, within bounds; what does not fit is refused and changes nothing."""
    directory = ("--data-dir", str(gateway.data_dir))
    before = operator.get(f"{_CACHE}/shards").json()
    assert (before["count"], before["wanted"], before["changing"]) == (2, 2, False)
    for wrong in (0, -1, 65, "3", None):
        refused = operator.post(f"{_CACHE}/shards", json={"count": wrong})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "count"
    assert easypay("cache", "shards", "--count", "65", *directory).returncode == 2
    assert easypay("cache", "shards", *directory).stdout == "2 shards\n"
    grown = easypay("cache", "shards", "--count", "3", "--json", *directory, timeout_s=130)
    assert json.loads(grown.stdout) == {"version": before["version"] + 1, "count": 3, "wanted": 3, "changing": False}
    assert easypay("cache", "shards", "--count", "2", *directory, timeout_s=130).stdout == "2 shards\n"
    shards = eventually(
        lambda: operator.get(_CACHE).json()["shards"], lambda found: all(shard["ready"] for shard in found), within_s=10
    )
    assert [shard["name"] for shard in shards] == ["cache-shard-0", "cache-shard-1"]


def test_a_revoked_key_is_refused_at_once(gateway: RunningGateway) -> None:
    """By every replica, though each has just used it."""
    directory = ("--data-dir", str(gateway.data_dir))
    key = json.loads(easypay("keys", "create", "--merchant", "revoked", "--json", *directory).stdout)

    def statuses() -> set[int]:
        headers = {"Authorization": f"Bearer {key['api_key']}"}
        return {httpx.get(f"{gateway.url}/v1/payments", headers=headers, timeout=30).status_code for _ in range(10)}

    assert statuses() == {200}
    assert easypay("keys", "revoke", key["id"], *directory).returncode == 0
    assert statuses() == {401}


def test_the_use_of_a_key_shows_in_the_list_of_keys(
    gateway: RunningGateway, merchant: Merchant, operator: httpx.Client
) -> None:
    """Every request, through whichever replica, and the time of the last; and the journals have nothing left."""
    directory = ("--data-dir", str(gateway.data_dir))

    def key() -> dict[str, Any]:
        keys = json.loads(easypay("keys", "list", "--json", *directory).stdout)
        return next(dict(key) for key in keys if key["id"] == merchant.key_id)

    assert (key()["last_used_at"], key()["requests_30_days"]) == (None, 0)
    began = datetime.now(UTC)
    answers = _everywhere(gateway, merchant, "/v1/payments")
    assert merchant.get("/ops/api/cache").status_code == 403
    used = eventually(key, lambda found: found["requests_30_days"] > len(answers), within_s=20)
    assert used["requests_30_days"] == len(answers) + 1
    assert began - timedelta(seconds=1) < datetime.fromisoformat(used["last_used_at"]) < datetime.now(UTC)
    for shard in operator.get(_CACHE).json()["shards"]:
        assert (shard["unapplied"], shard["journal_fault"]) == (0, "")
    table = easypay("keys", "list", *directory).stdout
    line = next(line for line in table.splitlines() if merchant.key_id in line)
    assert line.split()[-3:] == [*f"{datetime.fromisoformat(used['last_used_at']):%Y-%m-%d %H:%M}".split(), "9"]
