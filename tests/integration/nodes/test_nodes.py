"""Several nodes of Ray on this machine: actors on different ones, one that dies, one that is added under load."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
import pytest
import ray

from actors.pool.database import Database
from actors.runtime.spec import SPREAD_HERE, ActorSpec, create
from actors.scheduler.client import TaskQueue
from actors.scheduler.worker_actor import worker_names
from cluster.supervisor import start_supervisor
from serve_app.domain.ids import new_id
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.ray_nodes import growing_ray, ray_nodes
from tests.support.ray_tasks import RUNS, URL_VARIABLE, Work, noted, task_actors
from tests.support.task_cluster import until_ended

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.chaos,
    pytest.mark.timeout(600),
]

_WITHIN_S, _BACK_WITHIN_S = 90.0, 30.0
_TASKS = 200


class Occupant:
    """An actor that says where it is."""

    def __init__(self, _version: str) -> None:
        """Take the version of the code as actors of ours do."""

    def node(self) -> str:
        """Return the node."""
        return str(ray.get_runtime_context().get_node_id())


async def _until(holds: Callable[[], bool], within_s: float) -> float:
    """Wait until it holds, and return after how many seconds it did."""
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.2)
    return time.monotonic() - began


def _node_of(name: str, namespace: str) -> str | None:
    """Return the node of an actor, None while it is nowhere."""
    try:
        actor: Any = ray.get_actor(name, namespace)
        where = actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id())
        return str(ray.get(where, timeout=5))
    except (ray.exceptions.RayError, ValueError):
        return None


def _places(names: Iterable[str], namespace: str) -> dict[str | None, int]:
    """Return how many of these actors are on each node."""
    return dict(Counter(_node_of(name, namespace) for name in names))


async def _prepare(postgres: TestPostgres) -> None:
    connection = await asyncpg.connect(postgres.url())
    for table in ("tasks", "task_dispatches", "task_queue", "task_crons", "task_uniques"):
        await connection.execute(f"DELETE FROM {table}")
    await connection.execute(RUNS)
    await connection.execute(f"GRANT ALL ON task_runs TO {APP_ROLE}")
    await connection.close()


def test_actors_of_one_kind_are_spread() -> None:
    """Nine go to three nodes, three to each; at random they would one time in twelve."""
    namespace = f"nodes-{uuid.uuid4().hex[:8]}"
    with ray_nodes(namespace, workers=2, cpus=2):
        specs = [ActorSpec(f"occupant-{number}", Occupant, spread=True) for number in range(9)]
        actors = [create(spec, namespace) for spec in specs]
        where = ray.get([actor.node.remote() for actor in actors], timeout=_WITHIN_S)
    assert sorted(where.count(node) for node in set(where)) == [3, 3, 3]


def test_actors_that_are_spread_leave_the_head_alone_while_there_are_nodes_for_them() -> None:
    """They go to the nodes with the label, start on the other when one dies, and on the head when both have."""
    namespace = f"nodes-{uuid.uuid4().hex[:8]}"
    with ray_nodes(namespace, workers=2, cpus=2, labels=SPREAD_HERE) as nodes:
        names = [f"occupant-{number}" for number in range(4)]
        for name in names:
            create(ActorSpec(name, Occupant, spread=True), namespace)
        one, other = nodes.worker_nodes
        asyncio.run(_until(lambda: _places(names, namespace) == {one.node_id: 2, other.node_id: 2}, _WITHIN_S))
        nodes.remove_node(one, allow_graceful=False)
        asyncio.run(_until(lambda: _places(names, namespace) == {other.node_id: 4}, _WITHIN_S))
        nodes.remove_node(other, allow_graceful=False)
        asyncio.run(_until(lambda: _places(names, namespace) == {nodes.head_node.node_id: 4}, _WITHIN_S))


def test_a_node_that_dies_costs_no_task(postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ran there runs again elsewhere, and its workers are back within thirty seconds."""
    monkeypatch.setenv(URL_VARIABLE, postgres.url(APP_ROLE))
    asyncio.run(_prepare(postgres))
    namespace = f"nodes-{uuid.uuid4().hex[:8]}"
    with ray_nodes(namespace, workers=2, cpus=4) as nodes:
        start_supervisor(task_actors(namespace, 3), None, "supervisor", namespace, within_s=_WITHIN_S)
        asyncio.run(_kill_a_node_under_tasks(postgres, nodes, namespace))


async def _kill_a_node_under_tasks(postgres: TestPostgres, nodes: Any, namespace: str) -> None:
    names = worker_names(3)
    where = {name: await asyncio.to_thread(_node_of, name, namespace) for name in names}
    assert len(set(where.values())) > 1, where
    doomed = next(node for node in nodes.worker_nodes if node.node_id in where.values())
    database = await Database.open(postgres.url(APP_ROLE), name="replica", manager=None, want=2)
    queue = TaskQueue(database, namespace)
    connection = await asyncpg.connect(postgres.url())
    try:
        tasks = [noted.new(Work(1.0), id=new_id()) for _ in range(_TASKS)]
        assert all(await asyncio.gather(*map(queue.submit, tasks)))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(nodes.remove_node, doomed, allow_graceful=False)
        back_s = await _until(
            lambda: all((found := _node_of(name, namespace)) and found != doomed.node_id for name in names),
            _BACK_WITHIN_S,
        )
        await until_ended(connection, 0, within_s=_WITHIN_S)
        lost = await connection.fetchval("SELECT count(*) FROM tasks WHERE state <> 'succeeded'")
        print(f"workers were on {where}; back after {back_s:.1f} s")
        assert lost == 0
    finally:
        queue.close()
        await connection.close()
        await database.close()


@pytest.mark.parametrize("version", [1, 2])
def test_the_autoscaler_adds_a_node_for_replicas_that_find_no_room(version: int) -> None:
    """Replicas ask for a logical processor each; where none is free, either of Ray's autoscalers starts a node."""
    namespace = f"nodes-{uuid.uuid4().hex[:8]}"
    with growing_ray(namespace, cpus=2, workers_max=2, version=version):
        assert len(ray.nodes()) == 1  # type: ignore[no-untyped-call]
        replicas: list[Any] = [ray.remote(Occupant).options(num_cpus=1).remote("") for _ in range(3)]
        where: list[str] = ray.get([replica.node.remote() for replica in replicas], timeout=_WITHIN_S)
        assert len(set(where)) == 2
