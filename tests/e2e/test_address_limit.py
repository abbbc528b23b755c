"""Limits of unknown callers by their address, past a real ingress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.gateway import TEST_ENVIRONMENT, TEST_OPTIONS, RunningGateway, running_gateway

pytestmark = [pytest.mark.ray, pytest.mark.slow]

_PER_MINUTE = 20
_LIMITS = {"RATE_LIMIT_ADDRESS_PER_MINUTE": str(_PER_MINUTE), "TRUSTED_PROXIES": "127.0.0.1/32"}


@pytest.fixture(scope="module")
def behind_a_proxy() -> Iterator[RunningGateway]:
    """Run a gateway for which this machine is the trusted proxy."""
    with running_gateway(*TEST_OPTIONS, **TEST_ENVIRONMENT, **_LIMITS) as running:
        yield running


def _statuses(gateway: RunningGateway, forwarded_for: str, count: int) -> Counter[int]:
    """Send requests without a key as a proxy would; return their answers by status."""
    with httpx.Client(base_url=gateway.url, headers={"X-Forwarded-For": forwarded_for}, timeout=30) as http:
        return Counter(http.get("/v1/payments").status_code for _ in range(count))


@pytest.mark.timeout(240)
def test_behind_a_trusted_proxy_each_address_has_its_own_limit(behind_a_proxy: RunningGateway) -> None:
    """Exactly, over both replicas; what a client wrote before the proxy's own word is not believed."""
    assert _statuses(behind_a_proxy, "198.51.100.1", _PER_MINUTE + 5) == {401: _PER_MINUTE, 429: 5}
    assert _statuses(behind_a_proxy, "198.51.100.2", 1) == {401: 1}
    assert _statuses(behind_a_proxy, "203.0.113.9, 198.51.100.1", 3) == {429: 3}
    site = Counter[int]()
    for number in range(_PER_MINUTE + 2):
        site += _statuses(behind_a_proxy, f"2001:db8::{number:x}", 1)
    assert site == {401: _PER_MINUTE, 429: 2}
