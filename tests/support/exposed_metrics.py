"""The names that /metrics can show, from the functions that make its families, and those that rules and panels use."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from prometheus_client.core import Metric

import serve_app.ops
from actors.breaker.messages import BreakerView
from actors.cache.counts import Finds, ModelMetrics
from actors.cache.messages import ShardSnapshot, ShardState
from actors.optimizer.report import Report
from actors.optimizer.state import OptimizerState
from actors.pool.messages import BudgetSnapshot, PoolState
from actors.pool.replicas.monitor import ServersView
from actors.pool.replicas.reads import ReplicaFigures
from actors.pool.replicas.router import Observation
from actors.pool.servers.timeline import Standing
from actors.pool.usage import Figures as PoolFigures
from actors.runtime.breaker import State
from actors.runtime.histogram import Histogram
from actors.runtime.tallies import Series
from actors.scheduler.status import NameCounts, SchedulerStatus, WorkerStatus
from serve_app.admission.admission import Figures as GateFigures
from serve_app.ops.tally_metrics import Counter

DASHBOARDS = Path(__file__).parents[2] / "cluster" / "dashboards"
RULES = DASHBOARDS / "prometheus" / "rules"
BOARDS = DASHBOARDS / "grafana" / "boards"

OF_THE_MONITOR = frozenset(
    {
        "easypay_alerts",
        "easypay_http_request_duration_seconds",
        "easypay_http_request_size_bytes",
        "easypay_http_requests_total",
        "easypay_http_response_size_bytes",
        "easypay_level",
        "easypay_loop_lag_seconds",
        "easypay_machine_cpu_ratio",
        "easypay_machine_disk_ratio",
        "easypay_machine_memory_ratio",
        "easypay_monitor_processes",
        "easypay_monitor_reports_total",
        "easypay_payments_amount_minor_total",
        "easypay_payments_total",
        "easypay_process_cpu_seconds_total",
        "easypay_process_open_fds",
        "easypay_process_resident_memory_bytes",
        "easypay_stage_duration_seconds",
        "easypay_utilisation_ratio",
    }
)
"""What processes tell the monitor under names of their own choice: no family in the code names them."""

_NAME = re.compile(r"\beasypay_[a-z0-9_]+")
_RECORDED = re.compile(r"\beasypay:[a-z0-9_:]+")
_PART_OF_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")
_AT = datetime(2026, 1, 1, tzinfo=UTC)


def _shard() -> ShardSnapshot:
    reads = ModelMetrics(near_hits=1, bypasses={"changing": 1})
    reads.shard_s.record(0.001)
    reads.load_s.record(0.001)
    reads.begin_s.record(0.001)
    return ShardSnapshot(ShardState(ready=True), {"payment": reads}, {"payment": Finds(hits=1)}, started_at=1.0)


class _Everything(Mapping[Series, float]):
    """What processes have counted: one of each, under labels of their own."""

    def __iter__(self) -> Iterator[Series]:
        for counter in _counters():
            yield Series(counter.name, tuple(f"some_{label}" for label in counter.labels))

    def __getitem__(self, series: Series) -> float:
        return 1.0

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _counters() -> Iterator[Counter]:
    for module in _modules():
        yield from getattr(module, "_COUNTERS", ()) if module.__name__ in _TALLIED else ()


_TALLIED = {
    f"serve_app.ops.{name}_metrics" for name in ("admission", "compression", "housekeeping", "rate_limit", "replica")
}
"""The modules whose `_COUNTERS` processes tell the shards of; others have counters of their own."""


def _pool() -> PoolState:
    budget = BudgetSnapshot(50, 44, 0, recovering=False, waiting=1, leases=())
    return PoolState(budget, 50, 97, _AT, "upgrade", 3, 1, 0, {"a": _used_pool()}, PoolFigures())


def _used_pool() -> PoolFigures:
    wait, statement = Histogram(), Histogram()
    wait.record(0.001)
    statement.record(0.002)
    return PoolFigures(3, 1, 2, 0, 5, wait, {"read": statement}, 3, {"aged": 1}, {"late": 1})


def _names() -> dict[str, NameCounts]:
    counts = NameCounts({"succeeded": 1, "gave_up": 1})
    counts.wait_s.record(0.001)
    counts.run_s.record(0.002)
    return {"deliver_webhook": counts}


def _servers() -> ServersView:
    return ServersView({"b:1": Observation(Standing(7, in_recovery=True, timeline=2, lsn=5), 0.25)}, {7: 2})


_SAMPLES: dict[str, Callable[[], Any]] = {
    "ShardSnapshot": lambda: {"cache-shard-0": _shard()},
    "Series": lambda: {"cache-shard-0": _Everything()},
    "BreakerView": lambda: [BreakerView("redis", State.CLOSED, None, _AT, 0.0, 0, ())],
    "PoolState": _pool,
    "OptimizerState": lambda: OptimizerState(
        "auto", True, report=Report("easypay", [], [], [], [], [], (), "complete")
    ),
    "SchedulerStatus": lambda: SchedulerStatus(1, (0, 0, 0, 0), 0, 0, (WorkerStatus("a", True, 0),), _names()),
    "ServersView": _servers,
    "ReplicaFigures": lambda: (ReplicaFigures("b:1", None),),
    "admission.Figures": lambda: GateFigures(0, {"gateway": 0}, {"gateway": 1}, {"gateway": 0.1}),
    "<class 'str'>": lambda: "process",
    # What the monitor has: its names are in `OF_THE_MONITOR`, for a scrape shows them also before anything was told.
    "Totals": lambda: None,
}
"""What a function that makes families is called with, by a part of its parameter's type."""


@cache
def exposed_names() -> frozenset[str]:
    """Return every name that can stand in a scrape, without the parts that a histogram has."""
    return frozenset(map(_series_name, exposed_families())) | OF_THE_MONITOR


def exposed_families() -> Iterator[Metric]:
    """Yield every family that code names, with an example of its series where it has any."""
    for make in _makers():
        yield from make(**_arguments(make))


def used_names(expressions: Iterable[str]) -> set[str]:
    """Return the names of ours in expressions of PromQL, without the parts of histograms."""
    return {_PART_OF_HISTOGRAM.sub("", name) for text in expressions for name in _NAME.findall(text)}


def recorded_names(expressions: Iterable[str]) -> set[str]:
    """Return the names of what rules record, in expressions of PromQL."""
    return {name for text in expressions for name in _RECORDED.findall(text)}


def rules() -> Iterator[dict[str, Any]]:
    """Yield all rules."""
    for file in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def panel_queries() -> Iterator[tuple[str, str]]:
    """Yield the expression of each query of each dashboard, with the place where it stands."""
    for file in sorted(BOARDS.glob("*.json")):
        for row in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for panel in (row, *row.get("panels", ())):
                for target in panel.get("targets", ()):
                    yield f"{file.stem}: {panel['title']}", target["expr"]


def _makers() -> Iterator[Callable[..., Iterable[Metric]]]:
    """Yield the functions `..._families` of the modules `serve_app.ops...._metrics`."""
    for module in _modules():
        for name, value in inspect.getmembers(module, inspect.isfunction):
            if name.endswith("_families") and not name.startswith("_") and value.__module__ == module.__name__:
                yield value


def _modules() -> Iterator[ModuleType]:
    for module_info in pkgutil.iter_modules(serve_app.ops.__path__, "serve_app.ops."):
        if module_info.name.endswith("_metrics") and not module_info.name.endswith(".tally_metrics"):
            yield importlib.import_module(module_info.name)


def _arguments(make: Callable[..., Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(make)
    return {name: _sample(make, str(hints[name])) for name in inspect.signature(make).parameters}


def _sample(make: Callable[..., Any], hint: str) -> Any:
    for part, sample in _SAMPLES.items():
        if part in hint:
            return sample()
    raise KeyError(f"{make.__module__}.{make.__name__} takes {hint}: add an example of that to {__name__}")


def _series_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name
