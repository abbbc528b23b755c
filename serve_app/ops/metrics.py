"""Metrics for Prometheus.

They are of the whole gateway: whichever replica is scraped, they are the same. The exceptions are what there is at the
gate at this moment, which is that of the replica that answers; their label `process` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from actors.breaker.client import BreakerBoardClient
from actors.breaker.messages import BreakerView
from actors.cache.client import CacheClient
from actors.pool.lease import holder_name
from actors.runtime.errors import ActorError
from actors.runtime.tallies import Tallies
from actors.scheduler.client import TaskSchedulerClient
from actors.scheduler.status import SchedulerStatus
from serve_app.admission.admission import Admission
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response
from serve_app.merchants.secrets import Scope
from serve_app.ops.admission_metrics import admission_families
from serve_app.ops.breaker_metrics import breaker_families
from serve_app.ops.cache_metrics import cache_families
from serve_app.ops.compression_metrics import compression_families
from serve_app.ops.housekeeping_metrics import housekeeping_families
from serve_app.ops.rate_limit_metrics import rate_limit_families
from serve_app.ops.tally_metrics import Accounts
from serve_app.ops.task_metrics import task_families

_HEADERS = ((b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode()),)


class MetricsEndpoints:
    """Shows what Prometheus scrapes."""

    def __init__(
        self,
        cache: CacheClient | None,
        tallies: Callable[[], Tallies],
        admission: Admission,
        breakers: BreakerBoardClient,
        scheduler: TaskSchedulerClient,
    ) -> None:
        """``tallies`` are those of this process alone: they are shown where there is no cache to tell of them."""
        self._cache = cache
        self._tallies = tallies
        self._admission = admission
        self._breakers = breakers
        self._scheduler = scheduler
        self._process = holder_name("gateway")

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "GET", "/metrics", self.metrics, "Scrape the metrics", "Operations", Scope.ADMIN.value,
                answers={200: CONTENT_TYPE_PLAIN_0_0_4},
            ),
        )  # fmt: skip

    async def metrics(self, _: Call) -> Response:
        """Show the metrics as they are now, in Prometheus's text format."""
        snapshots = await self._cache.snapshots() if self._cache is not None else {}
        accounts: Accounts = {shard: found.tallies for shard, found in snapshots.items() if found is not None}
        if self._cache is None:
            accounts = {self._process: self._tallies()}
        families = chain(
            cache_families(snapshots),
            rate_limit_families(accounts),
            admission_families(accounts, self._admission.figures(), self._process),
            breaker_families(await _views(self._breakers)),
            compression_families(accounts),
            task_families(await _status(self._scheduler)),
            housekeeping_families(accounts),
        )
        return Response(200, exposition(families), _HEADERS)


async def _views(board: BreakerBoardClient) -> Sequence[BreakerView] | None:
    try:
        return await board.views()
    except ActorError:
        # What is not known of the breakers must not hide the rest; the metrics say that the board is away.
        return None


async def _status(scheduler: TaskSchedulerClient) -> SchedulerStatus | None:
    try:
        return await scheduler.status()
    except ActorError:
        # As above; and so do these.
        return None


def exposition(families: Iterable[Metric]) -> bytes:
    """Return the families as text.

    Source: Prometheus exposition formats, text format 0.0.4.
    """
    # A registry for each answer: nothing of the process that is scraped gets in, as it would from the global one.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(list(families)))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
