"""Rate limits over all replicas of a real gateway."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

import aiohttp
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.replicas import replica_urls
from tests.e2e.gateway import RunningGateway
from tests.e2e.merchant import Merchant, new_merchant
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow]

# At or below 600 a minute each request is counted at the shard.
_SMALL, _LARGE = 60, 900
_TOLD_WITHIN_S = 20.0
_SCRAPES = 20
_OPENS_WITHIN_S = 90.0
"""A shard that started on old data lends nothing for a window and a lease, 66 s."""


def _until_shards_lend(gateway: RunningGateway) -> None:
    """Return when a replica knows of more than its static share, which is half of this limit."""
    with new_merchant(gateway, "--rate-limit", "1000") as merchant:
        eventually(
            lambda: _left(merchant.get("/v1/payments").headers["ratelimit"]),
            lambda left: left > 500,
            within_s=_OPENS_WITHIN_S,
        )


def _left(rate_limit: str) -> int:
    found = re.fullmatch(r'"merchant";r=(\d+);t=\d+', rate_limit)
    assert found is not None, rate_limit
    return int(found[1])


async def _offer(gateway: RunningGateway, merchant: Merchant, count: int) -> tuple[Counter[int], list[str]]:
    """Send requests through every replica in turn; return the answers by status, and the waits that were asked for."""
    urls = list(replica_urls(gateway.data_dir).values())
    headers = {"Authorization": f"Bearer {merchant.api_key}"}
    statuses: Counter[int] = Counter()
    waits: list[str] = []
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=16)) as http:

        async def one(number: int) -> None:
            async with http.get(f"{urls[number % len(urls)]}/v1/payments?limit=1") as answer:
                statuses[answer.status] += 1
                assert answer.headers["ratelimit-policy"].startswith('"merchant";q=')
                if answer.status == 429:
                    problem = await answer.json()
                    assert problem["code"] == "rate_limited"
                    waits.append(answer.headers["retry-after"])

        await asyncio.gather(*map(one, range(count)))
    return statuses, waits


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("limit", "at_least"), [(_SMALL, _SMALL), (_LARGE, 0.95 * _LARGE)])
def test_a_limit_holds_over_all_replicas(gateway: RunningGateway, limit: int, at_least: float) -> None:
    """Twice as many requests as the limit of a merchant's own: no more than that are served, the rest is told when to
    come again, and another merchant notices nothing."""
    _until_shards_lend(gateway)
    with new_merchant(gateway, "--rate-limit", str(limit)) as busy, new_merchant(gateway) as other:
        began = time.monotonic()
        statuses, waits = asyncio.run(_offer(gateway, busy, 2 * limit))
        took_s = time.monotonic() - began
        print(f"limit {limit}: {dict(statuses)} in {took_s:.1f} s")
        assert set(statuses) == {200, 429}
        assert at_least <= statuses[200]
        # What is spent longer than a window ago is free again.
        assert statuses[200] <= limit * (1 + int(took_s / 60))
        assert all(1 <= int(wait) <= 60 for wait in waits)
        assert other.get("/v1/payments").status_code == 200


def test_an_answer_says_how_its_limit_stands(gateway: RunningGateway) -> None:
    """The policy and what is left of it; a refund counts against a fifth of the limit as well."""
    with new_merchant(gateway, "--rate-limit", "1000") as merchant:
        paid = merchant.pay()
        assert paid.headers["ratelimit-policy"] == '"merchant";q=1000;w=60'
        refund = merchant.post(f"/v1/payments/{paid.json()['id']}/refunds", {"amount": 100})
        assert refund.status_code == 201
        assert refund.headers["ratelimit-policy"] == '"sensitive";q=200;w=60, "merchant";q=1000;w=60'


def test_who_is_no_trusted_proxy_is_not_believed(anonymous: httpx.Client) -> None:
    """Whatever address a client claims, what is left of the limit of its own goes down with each request."""
    left: list[int] = []
    for number in range(4):
        answer = anonymous.get("/v1/payments", headers={"X-Forwarded-For": f"198.51.100.{number}"})
        assert answer.status_code == 401
        policies = answer.headers["ratelimit-policy"].split(", ")
        assert policies == ['"address";q=600;w=60', '"unauthenticated";q=6000;w=60']
        left.append(int(answer.headers["ratelimit"].split(";")[1].removeprefix("r=")))
    assert left == sorted(set(left), reverse=True)


def test_whichever_replica_is_scraped_shows_the_requests_of_all(gateway: RunningGateway) -> None:
    """Each request once, a moment after it was decided."""
    urls = list(replica_urls(gateway.data_dir).values())
    assert len(urls) == 2
    series = {"limit": "merchant", "outcome": "admitted"}
    with new_merchant(gateway, "--rate-limit", "1000") as merchant:
        before = _settled(gateway, urls, series)
        statuses, _ = asyncio.run(_offer(gateway, merchant, 60))
        assert statuses == {200: 60}
        after = eventually(
            lambda: [_scraped(gateway, url, series) for url in urls],
            lambda counts: counts == [before + 60] * 2,
            within_s=_TOLD_WITHIN_S,
        )
        assert after == [before + 60] * 2


def _settled(gateway: RunningGateway, urls: list[str], series: dict[str, str]) -> float:
    """Return a count once nothing that earlier tests did is still on its way."""
    counts: list[float] = []

    def read() -> list[float]:
        counts.extend(_scraped(gateway, url, series) for url in urls)
        return counts[-_SCRAPES:]

    settled = eventually(read, lambda last: len(last) == _SCRAPES and len(set(last)) == 1, within_s=_TOLD_WITHIN_S)
    return settled[0]


def _scraped(gateway: RunningGateway, url: str, labels: dict[str, str]) -> float:
    """Return a count of decisions as one replica shows it, over all shards."""
    answer = httpx.get(
        f"{url}/metrics", headers={"Authorization": f"Bearer {gateway.facts['admin_key']}"}, timeout=30
    ).raise_for_status()
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "easypay_rate_limit_requests_total" and labels.items() <= sample.labels.items()
    )
