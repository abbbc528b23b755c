"""Limits of unknown callers by their address, past a real ingress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.gateway import TRUSTED_HOP, RunningGateway

pytestmark = [pytest.mark.ray, pytest.mark.slow]

_PER_MINUTE = 600


class Proxy:
    """A proxy that the gateway trusts: it comes from an address of its own, and says for whom."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def statuses(self, forwarded_for: str, count: int) -> Counter[int]:
        """Send requests without a key; return their answers by status."""
        headers = {"X-Forwarded-For": forwarded_for}
        return Counter(self._http.get("/v1/payments", headers=headers).status_code for _ in range(count))


@pytest.fixture
def proxy(gateway: RunningGateway) -> Iterator[Proxy]:
    """Return a proxy before the gateway."""
    transport = httpx.HTTPTransport(local_address=TRUSTED_HOP)
    with httpx.Client(base_url=gateway.url, transport=transport, timeout=30) as http:
        yield Proxy(http)


def test_behind_a_trusted_proxy_each_address_has_its_own_limit(proxy: Proxy) -> None:
    """Exactly, over both replicas; what a client wrote before the proxy's own word is not believed."""
    assert proxy.statuses("198.51.100.1", _PER_MINUTE + 5) == {401: _PER_MINUTE, 429: 5}
    assert proxy.statuses("198.51.100.2", 1) == {401: 1}
    assert proxy.statuses("203.0.113.9, 198.51.100.1", 3) == {429: 3}


def test_a_site_is_one_address(proxy: Proxy) -> None:
    """All addresses of a /64 of IPv6 count together."""
    site = sum((proxy.statuses(f"2001:db8::{number:x}", 1) for number in range(_PER_MINUTE + 2)), Counter[int]())
    assert site == {401: _PER_MINUTE, 429: 2}
