"""Which actors are asked, and what is made of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from actors.breaker.messages import BreakerView
from actors.cache.messages import ShardSnapshot
from actors.cache.sharding.stored import StoredRing
from actors.optimizer.state import OptimizerState
from actors.pool.messages import PoolState
from actors.pool.replicas.monitor import ServersView
from actors.runtime.breaker import State
from actors.runtime.errors import ActorError, Unavailable
from actors.scheduler.queue import WAITING_MAX
from actors.scheduler.status import SchedulerStatus
from actors.scheduler.task import Priority
from serve_app.monitoring.collector import Changed, Counted, Finding, Found
from serve_app.monitoring.names import BREAKER_OPEN, CACHE_PUSHED_OUT, REDIS_UP, SERVER_UP, UTILISATION

_State = TypeVar("_State")


def asked(ask: Callable[[], Awaitable[_State]], made_of: Callable[[_State], Found]) -> Callable[[], Awaitable[Found]]:
    """Return a look that asks for a state and makes findings of it."""

    async def look() -> Found:
        return made_of(await ask())

    return look


class BreakerFindings:
    """Which breakers are not closed in any process, and which have changed since the look before."""

    def __init__(self) -> None:
        self._states: Mapping[str, State] = {}

    def __call__(self, views: Iterable[BreakerView]) -> Found:
        """Return them."""
        states = {view.name: worst_state(view) for view in views}
        changed = [
            Changed("breaker", f"{name}: {self._states[name].value} -> {state.value}")
            for name, state in states.items()
            if self._states.get(name, state) is not state
        ]
        self._states = states
        opened = [
            Finding(BREAKER_OPEN, float(state is not State.CLOSED), (("breaker", name),))
            for name, state in states.items()
        ]
        return [*opened, *changed]


def worst_state(view: BreakerView) -> State:
    """Return the state of the breaker that lets the least through: the cluster's, or that of a process which has one
    of its own."""
    states = {view.state, *(process.state for process in view.processes)}
    return next((state for state in (State.OPEN, State.HALF_OPEN) if state in states), State.CLOSED)


def pool_findings(state: PoolState) -> Found:
    """Return how much of the connections that may be leased is in use, as far as processes have told."""
    in_use = sum(figures.in_use for figures in state.figures.values())
    # While a maintenance window leaves none at all, all that there is is in use.
    return [_utilisation("pool", in_use / state.budget.total if state.budget.total else 1.0)]


def task_findings(status: SchedulerStatus, rooms: int) -> Found:
    """Return how much of the room of the workers is in use, of which each has `rooms`, and how full the queue of
    webhooks is: of all that has their priority, which hardly anything else has.

    Raises:
        Unavailable: it does not own the queue (yet), and knows nothing.
    """
    if status.epoch is None:
        raise Unavailable("the task scheduler", "it does not own the queue", 1.0)
    connected = sum(worker.is_connected for worker in status.workers)
    return [
        _utilisation("tasks", status.running / (connected * rooms) if connected else 1.0),
        _utilisation("webhooks", status.waiting[Priority.NORMAL] / WAITING_MAX),
    ]


def server_findings(view: ServersView) -> Found:
    """Return which servers of the database answer."""
    return [
        Finding(SERVER_UP, float(seen.standing is not None), (("server", name),)) for name, seen in view.servers.items()
    ]


class OptimizerFindings:
    """What was done to indexes since the look before."""

    def __init__(self) -> None:
        self._actions: Mapping[str, int] | None = None

    def __call__(self, state: OptimizerState) -> Found:
        """Return it; the first look only learns what was done before."""
        before, self._actions = self._actions, dict(state.actions)
        if before is None:
            return ()
        return [
            Changed("index", f"{action}: {count - before.get(action, 0)} (see the optimizer's journal)")
            for action, count in state.actions.items()
            if count > before.get(action, 0)
        ]


class CacheLook:
    """How full the shards are, how many values had to go from them, and whether they use Redis and it answers, where
    there is one.

    It is asked here, for shards have few calls while all that is read is near, and a breaker waits for several.
    """

    def __init__(
        self,
        ring: Callable[[], Awaitable[StoredRing]],
        shard: Callable[[str], Callable[[], Awaitable[ShardSnapshot]]],
        *,
        redis: Callable[[], Awaitable[object]] | None,
    ) -> None:
        """`shard` gives the way to a shard of a name; `redis` returns if Redis answers, else it raises ActorError."""
        self._ring = ring
        self._shard = shard
        self._redis = redis
        self._ways: dict[str, Callable[[], Awaitable[ShardSnapshot]]] = {}
        self._evictions: dict[str, int] = {}
        self._wanted: int | None = None

    async def __call__(self) -> Found:
        """Ask all shards of the ring; raises ActorError where its keeper does not answer."""
        ring = await self._ring()
        found = await asyncio.gather(self._look_at_redis(), *map(self._look, ring.current.shards))
        changed: list[Any] = []
        if self._wanted not in (None, ring.wanted):
            changed = [Changed("scale", f"cache: {self._wanted} -> {ring.wanted} shards wanted")]
        self._wanted = ring.wanted
        return [*chain.from_iterable(found), *changed]

    async def _look_at_redis(self) -> Sequence[Finding]:
        if self._redis is None:
            return ()
        try:
            await self._redis()
        except ActorError:
            return [Finding(REDIS_UP, 0.0)]
        return [Finding(REDIS_UP, 1.0)]

    async def _look(self, name: str) -> Sequence[Finding | Counted]:
        way = self._ways.setdefault(name, self._shard(name))
        try:
            state = (await way()).state
        except ActorError:
            # It has no figures; that it is away shows in the metrics of the cache itself.
            return ()
        findings: list[Finding | Counted] = [Counted(CACHE_PUSHED_OUT, self._pushed_out(name, state.evictions))]
        if state.bound_bytes:
            findings.append(_utilisation("cache", state.bytes_used / state.bound_bytes, shard=name))
        if self._redis is not None and state.ready:
            findings.append(Finding(REDIS_UP, float(state.redis), (("shard", name),)))
        return findings

    def _pushed_out(self, name: str, evictions: int) -> int:
        """Return how many values went since the look before: none that went before the first, and all of a shard that
        counts anew."""
        before = self._evictions.get(name, evictions)
        self._evictions[name] = evictions
        return evictions - before if evictions >= before else evictions


def _utilisation(resource: str, value: float, **labels: str) -> Finding:
    return Finding(UTILISATION, min(1.0, max(0.0, value)), (("resource", resource), *sorted(labels.items())))
