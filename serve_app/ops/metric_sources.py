"""Where the metrics come from: a source for each actor that knows some, and one for what processes have counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import TypeVar

from prometheus_client.core import Metric

from actors.cache.client import CacheClient
from actors.pool.lease import holder_name
from actors.runtime.errors import ActorError
from actors.runtime.tallies import Tallies
from serve_app.ops.admission_metrics import admission_families, gate_families
from serve_app.ops.breaker_metrics import breaker_families
from serve_app.ops.cache_metrics import cache_families
from serve_app.ops.compression_metrics import compression_families
from serve_app.ops.housekeeping_metrics import housekeeping_families
from serve_app.ops.monitor_metrics import monitor_families
from serve_app.ops.optimizer_metrics import optimizer_families
from serve_app.ops.pool_metrics import pool_families
from serve_app.ops.rate_limit_metrics import rate_limit_families
from serve_app.ops.replica_metrics import excluded_families, read_families, server_families
from serve_app.ops.tally_metrics import Accounts
from serve_app.ops.task_metrics import task_families
from serve_app.services import Services

MetricSource = Callable[[], Awaitable[Iterable[Metric]]]
"""Gives families as they are now. It does not fail: what is away says so by a metric of its own."""

_State = TypeVar("_State")


def metric_sources(services: Services) -> Sequence[MetricSource]:
    """Return every source of a process that has these services."""
    process = holder_name("gateway")
    sources = [
        of_accounts(services.cache, services.tallies, process),
        of_this_process(lambda: gate_families(services.admission.figures(), process)),
        of_actor(lambda: services.breaker_board.views(), breaker_families),
        of_actor(lambda: services.task_scheduler.status(), task_families),
        of_actor(lambda: services.pool_manager.state(), pool_families),
        of_actor(lambda: services.optimizer.state(), optimizer_families),
        of_actor(lambda: services.monitor.series(), monitor_families),
    ]
    servers, monitor = services.servers, services.replica_monitor
    if servers is not None and monitor is not None:
        sources += [
            of_actor(lambda: monitor.view({}), server_families),
            of_this_process(lambda: excluded_families(servers.reads.figures() if servers.reads else (), process)),
        ]
    return sources


def of_actor(
    ask: Callable[[], Awaitable[_State]], families: Callable[[_State | None], Iterable[Metric]]
) -> MetricSource:
    """Return the source that asks an actor; `families` is told None while it does not answer."""

    async def read() -> Iterable[Metric]:
        try:
            state: _State | None = await ask()
        except ActorError:
            # What is not known of one must not hide the rest; the families themselves say that it is away.
            state = None
        return families(state)

    return read


def of_this_process(families: Callable[[], Iterable[Metric]]) -> MetricSource:
    """Return the source of what the process that answers knows by itself."""

    async def read() -> Iterable[Metric]:
        return families()

    return read


def of_accounts(cache: CacheClient | None, tallies: Callable[[], Tallies], process: str) -> MetricSource:
    """Return the source of the cache, and of what all processes have told its shards.

    Without a cache it shows the `tallies` of this process alone, under its own name.
    """

    async def read() -> Iterable[Metric]:
        snapshots = await cache.snapshots() if cache is not None else {}
        accounts: Accounts = {shard: found.tallies for shard, found in snapshots.items() if found is not None}
        if cache is None:
            accounts = {process: tallies()}
        return chain(
            cache_families(snapshots),
            rate_limit_families(accounts),
            admission_families(accounts),
            compression_families(accounts),
            housekeeping_families(accounts),
            read_families(accounts),
        )

    return read
