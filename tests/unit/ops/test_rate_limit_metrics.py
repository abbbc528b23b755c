"""What Prometheus is told of rate limits is what all processes have told shards."""

from __future__ import annotations

import re
from unittest.mock import AsyncMock, create_autospec

from prometheus_client.parser import text_string_to_metric_families

from actors.breaker.client import BreakerBoardClient
from actors.cache.client import CacheClient
from actors.cache.messages import ShardSnapshot, ShardState
from actors.runtime.errors import Unavailable
from actors.runtime.tallies import Series, Tallies
from actors.scheduler.client import TaskSchedulerClient
from serve_app.http.operation import Call
from serve_app.middleware.rate_limit import LEASES, REQUESTS, STATIC_DECISIONS
from serve_app.ops.metrics import MetricsEndpoints, exposition
from serve_app.ops.rate_limit_metrics import rate_limit_families
from tests.unit.http.exchange import admission_of, limits_of

_CALL = Call("GET", "/metrics", {}, "r-1")


def _snapshot(tallies: Tallies) -> ShardSnapshot:
    return ShardSnapshot(ShardState(ready=True), {}, tallies=tallies)


async def _scrape(endpoints: MetricsEndpoints) -> str:
    return (await endpoints.metrics(_CALL)).body.decode()


def _endpoints(cache: CacheClient | None, tallies: Tallies) -> MetricsEndpoints:
    board = create_autospec(BreakerBoardClient, instance=True)
    board.views = AsyncMock(side_effect=Unavailable("board", "away", 1.0))
    scheduler = create_autospec(TaskSchedulerClient, instance=True)
    scheduler.status = AsyncMock(side_effect=Unavailable("scheduler", "away", 1.0))
    return MetricsEndpoints(cache, lambda: tallies, admission_of(), board, scheduler)


async def test_a_scrape_shows_what_shards_were_told_and_not_what_this_process_counted() -> None:
    """So another replica's answer is the same; a shard that does not answer has no series."""
    admitted = Series(REQUESTS, ("merchant", "admitted"))
    cache = create_autospec(CacheClient, instance=True)
    cache.snapshots = AsyncMock(return_value={"a": _snapshot({admitted: 70}), "b": None, "c": _snapshot({admitted: 5})})
    text = await _scrape(_endpoints(cache, {admitted: 3}))
    lines = [line for line in text.splitlines() if line.startswith("easypay_rate_limit_requests_total")]
    assert lines == [
        'easypay_rate_limit_requests_total{limit="merchant",outcome="admitted",shard="a"} 70.0',
        'easypay_rate_limit_requests_total{limit="merchant",outcome="admitted",shard="c"} 5.0',
    ]


async def test_without_a_cache_the_process_shows_its_own() -> None:
    """By a name that does not change."""
    tallies = {Series(STATIC_DECISIONS, ()): 4.0}
    endpoints = _endpoints(None, tallies)
    texts = [await _scrape(endpoints) for _ in range(2)]
    assert texts[0] == texts[1]
    assert re.search(r'easypay_rate_limit_static_decisions_total\{shard="gateway-\S+"\} 4\.0', texts[0])


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
