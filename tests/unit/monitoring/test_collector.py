"""What actors know is asked of them, and what is not known is not told."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime

import pytest

from actors.breaker.messages import BreakerView, ProcessView
from actors.cache.messages import ShardSnapshot, ShardState
from actors.cache.sharding.stored import StoredRing
from actors.monitor.instruments import Instruments
from actors.monitor.series import series
from actors.optimizer.state import OptimizerState
from actors.pool.messages import BudgetSnapshot, PoolState
from actors.pool.usage import Figures
from actors.runtime.breaker import State
from actors.runtime.errors import Unavailable
from actors.scheduler.status import SchedulerStatus, WorkerStatus
from serve_app.monitoring.collector import Changed, Collector, Counted, Finding, Found, Probe
from serve_app.monitoring.names import ACTOR_UP, BREAKER_OPEN, CACHE_PUSHED_OUT, REDIS_UP, UTILISATION
from serve_app.monitoring.probes import (
    BreakerFindings,
    CacheLook,
    OptimizerFindings,
    pool_findings,
    task_findings,
)

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_POOL = series(UTILISATION, resource="pool")


class _Actor:
    """Answers with what it is told to, or not."""

    def __init__(self, *answers: Found | Exception) -> None:
        self._answers = list(answers)

    async def look(self) -> Found:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _finding(value: float) -> Finding:
    return Finding(UTILISATION, value, (("resource", "pool"),))


async def test_an_actor_that_is_away_has_no_figures() -> None:
    """Old ones would look like news; that it is away is told."""
    instruments = Instruments("monitor-1")
    actor = _Actor([_finding(0.5)], Unavailable("pool", "away", 1.0), [_finding(0.25)])
    collector = Collector(instruments, [])
    seen = []
    for _ in range(3):
        await collector.look(Probe("pool", actor.look))
        # All gauges, changed or not: those of a process that starts anew.
        gauges = dict(instruments._gauges)
        seen.append((gauges[series(ACTOR_UP, actor="pool")], gauges.get(_POOL)))
    assert seen == [(1.0, 0.5), (0.0, None), (1.0, 0.25)]


async def test_what_changed_is_passed_on() -> None:
    """As one of the things that may be the cause of an alert."""
    instruments = Instruments("monitor-1")
    await Collector(instruments, []).look(Probe("breakers", _Actor([Changed("breaker", "redis: closed -> open")]).look))
    assert [(change.kind, change.what) for change in instruments.take().changes] == [
        ("breaker", "redis: closed -> open")
    ]


async def test_a_defect_of_one_probe_ends_no_other() -> None:
    """And it is asked again."""
    instruments = Instruments("monitor-1")
    broken = _Actor(KeyError("x"), [_finding(0.75)])
    fine = _Actor(*([Finding("easypay_fine", float(number))] for number in itertools.islice(itertools.count(), 10)))
    turns = itertools.count()

    async def sleep(_: float) -> None:
        if next(turns) >= 3:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    collector = Collector(instruments, [Probe("a", broken.look), Probe("b", fine.look)], sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await collector.run()
    assert instruments.take().gauges[_POOL] == 0.75
    assert len(fine._answers) < 9


def _view(state: State, *processes: State) -> BreakerView:
    views = tuple(ProcessView(f"p-{number}", each, 0, 0) for number, each in enumerate(processes))
    return BreakerView("redis", state, None, _AT, 0.0, 0, views)


def test_a_breaker_is_open_where_any_process_has_it_so() -> None:
    """Those of Redis are each process's own. A change is told once, and the first look tells none."""
    findings = BreakerFindings()
    closed, opened = (
        Finding(BREAKER_OPEN, 0.0, (("breaker", "redis"),)),
        Finding(BREAKER_OPEN, 1.0, (("breaker", "redis"),)),
    )
    assert findings([_view(State.CLOSED, State.CLOSED)]) == [closed]
    assert findings([_view(State.CLOSED, State.CLOSED, State.OPEN)]) == [
        opened,
        Changed("breaker", "redis: closed -> open"),
    ]
    assert findings([_view(State.OPEN)]) == [opened]
    assert findings([_view(State.HALF_OPEN)]) == [opened, Changed("breaker", "redis: open -> half_open")]
    assert findings([]) == []
    assert findings([_view(State.CLOSED)]) == [closed]


def test_the_pool_is_as_full_as_its_processes_use_it() -> None:
    """Of what may be leased now; what is leased and idle is not in use."""

    def state(total: int) -> PoolState:
        budget = BudgetSnapshot(total, 0, 0, False, 0)
        figures = {"a": Figures(size=8, in_use=6), "b": Figures(size=8, in_use=4)}
        return PoolState(budget, 50, None, None, None, 0, 0, 0, figures, Figures())

    assert pool_findings(state(50)) == [_finding(0.2)]
    assert pool_findings(state(0)) == [_finding(1.0)]
    assert pool_findings(state(5)) == [_finding(1.0)]


def test_tasks_are_as_many_as_there_is_room_for() -> None:
    """With the workers that are connected; without one there is no room at all."""

    def status(*connected: bool, epoch: int | None = 1) -> SchedulerStatus:
        workers = tuple(WorkerStatus("w", each, 0) for each in connected)
        return SchedulerStatus(epoch, (0, 0, 5_000, 0), 0, 128, workers, {})

    def resources(status: SchedulerStatus) -> dict[str, float]:
        return {
            dict(each.labels)["resource"]: each.value
            for each in task_findings(status, rooms=256)
            if isinstance(each, Finding)
        }

    assert resources(status(True, True)) == {"tasks": 0.25, "webhooks": 0.1}
    assert resources(status(True, False))["tasks"] == 0.5
    assert resources(status(False))["tasks"] == 1.0
    with pytest.raises(Unavailable):
        task_findings(status(True, epoch=None), rooms=256)


def test_what_the_optimizer_did_is_told_once() -> None:
    """What it had done before the monitor started is no news."""
    findings = OptimizerFindings()
    state = OptimizerState("auto", True, actions={"created": 2})
    assert list(findings(state)) == []
    assert list(findings(state)) == []
    (changed,) = findings(OptimizerState("auto", True, actions={"created": 3, "dropped": 0}))
    assert isinstance(changed, Changed)
    assert (changed.kind, changed.what.startswith("created: 1 ")) == ("index", True)


async def test_the_cache_is_asked_by_its_ring() -> None:
    """Of each shard how full it is and whether it uses Redis; one that is away has no figures."""
    rings = [StoredRing(1, 2, None, 2), StoredRing(1, 2, None, 3)]

    async def ring() -> StoredRing:
        return rings.pop(0)

    def shard(name: str) -> object:
        async def snapshot() -> ShardSnapshot:
            if name == "cache-shard-1":
                raise Unavailable(name, "away", 1.0)
            return ShardSnapshot(ShardState(ready=True, bytes_used=25, bound_bytes=100, redis=False), {})

        return snapshot

    answers = iter([True, False])

    async def redis() -> str:
        if next(answers):
            return "a run id"
        raise Unavailable("redis", "silent", 1.0)

    look = CacheLook(ring, shard, redis=redis)  # type: ignore[arg-type]
    found = list(await look())
    assert found == [
        Finding(REDIS_UP, 1.0),
        Counted(CACHE_PUSHED_OUT, 0),
        Finding(UTILISATION, 0.25, (("resource", "cache"), ("shard", "cache-shard-0"))),
        Finding(REDIS_UP, 0.0, (("shard", "cache-shard-0"),)),
    ]
    later = list(await look())
    assert later[0] == Finding(REDIS_UP, 0.0)
    assert later[-1] == Changed("scale", "cache: 2 -> 3 shards wanted")


async def test_what_had_to_go_from_the_cache_is_counted_since_the_look_before() -> None:
    """Not what went before the monitor was there; a shard that begins anew counts from nothing."""
    evictions = iter([1000, 1000, 1007, 2])

    async def ring() -> StoredRing:
        return StoredRing(1, 1, None, 1)

    def shard(_: str) -> object:
        async def snapshot() -> ShardSnapshot:
            return ShardSnapshot(ShardState(ready=True, evictions=next(evictions)), {})

        return snapshot

    instruments = Instruments("monitor-1")
    collector = Collector(instruments, [])
    probe = Probe("ring", CacheLook(ring, shard, redis=None))  # type: ignore[arg-type]
    told = []
    for _ in range(4):
        await collector.look(probe)
        told.append(instruments.take().counters.get(series(CACHE_PUSHED_OUT), 0))
    assert told == [0, 0, 7, 2]
