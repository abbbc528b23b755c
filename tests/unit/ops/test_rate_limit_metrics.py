"""What Prometheus is told of rate limits is what all processes have told shards."""

from __future__ import annotations

import re
from unittest.mock import AsyncMock, create_autospec

from prometheus_client.parser import text_string_to_metric_families

from actors.cache.client import CacheClient
from actors.cache.messages import ShardSnapshot, ShardState
from actors.runtime.tallies import Series, Tallies
from serve_app.http.operation import Call
from serve_app.middleware.rate_limit import LEASES, REQUESTS, STATIC_DECISIONS
from serve_app.ops.exposition import exposition
from serve_app.ops.metric_sources import of_accounts
from serve_app.ops.metrics import MetricsEndpoints
from serve_app.ops.rate_limit_metrics import rate_limit_families
from tests.unit.http.exchange import limits_of

_CALL = Call("GET", "/metrics", {}, "r-1")


def _snapshot(tallies: Tallies) -> ShardSnapshot:
    return ShardSnapshot(ShardState(ready=True), {}, tallies=tallies)


async def _scrape(cache: CacheClient | None, tallies: Tallies) -> str:
    endpoints = MetricsEndpoints([of_accounts(cache, lambda: tallies, "gateway-1")])
    return (await endpoints.metrics(_CALL)).body.decode()


async def test_a_scrape_shows_what_shards_were_told_and_not_what_this_process_counted() -> None:
    """So another replica's answer is the same; a shard that does not answer has no series."""
    admitted = Series(REQUESTS, ("merchant", "admitted"))
    cache = create_autospec(CacheClient, instance=True)
    cache.snapshots = AsyncMock(return_value={"a": _snapshot({admitted: 70}), "b": None, "c": _snapshot({admitted: 5})})
    text = await _scrape(cache, {admitted: 3})
    lines = [line for line in text.splitlines() if line.startswith("easypay_rate_limit_requests_total")]
    assert lines == [
        'easypay_rate_limit_requests_total{limit="merchant",outcome="admitted",shard="a"} 70.0',
        'easypay_rate_limit_requests_total{limit="merchant",outcome="admitted",shard="c"} 5.0',
    ]


async def test_without_a_cache_the_process_shows_its_own() -> None:
    """Under its own name."""
    text = await _scrape(None, {Series(STATIC_DECISIONS, ()): 4.0})
    assert 'easypay_rate_limit_static_decisions_total{shard="gateway-1"} 4.0' in text.splitlines()


def test_names_follow_the_rules_and_every_series_is_shown() -> None:
    """Families are ours, explained, and counters; each thing that a process tallies is in one, from 0 on."""
    tallies = limits_of().tallies()
    families = list(text_string_to_metric_families(exposition(rate_limit_families({"a": tallies})).decode()))
    assert len({family.name for family in families}) == len(families) == 4
    for family in families:
        assert re.fullmatch(r"easypay_rate_limit_[a-z_]+", family.name)
        assert (family.type, family.documentation[-1]) == ("counter", ".")
        for sample in family.samples:
            assert sample.labels.keys() <= {"limit", "outcome", "shard"}
    assert sum(len(family.samples) for family in families) == len(tallies) == 12
    assert Series(LEASES, ("unanswered",)) in tallies
