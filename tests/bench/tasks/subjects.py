"""The scheduler and its peers, each with two processes that run tasks and one that enqueues."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import ray

from tests.bench.failure import BenchFailed
from tests.bench.tasks.environment import peer_python
from tests.bench.tasks.marks import FOLDER_VARIABLE
from tests.support.postgres import TestPostgres
from tests.support.redis_servers import TestRedis
from tests.support.started import started
from tests.support.task_cluster import task_cluster

_ROOT = Path(__file__).parents[3]
_WORKERS = 2
_START_S = 5.0
_MORE_S = 120.0


@dataclass(frozen=True)
class Subject:
    """One that runs: how to feed it, and where its tables are, if it has any."""

    name: str
    feed: Sequence[str]
    environment: dict[str, str]
    postgres: TestPostgres | None

    def measure(self, *options: str, seconds: float) -> dict[str, Any]:
        """Run the feeder and return what it says."""
        done = subprocess.run(
            [*self.feed, *options], env=self.environment, cwd=_ROOT, capture_output=True, text=True,
            timeout=seconds + _MORE_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BenchFailed(f"{self.name}: the feeder failed: {done.stderr[-2000:]}")
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer


@contextmanager
def _base() -> Iterator[tuple[ExitStack, dict[str, str]]]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="easypay-bench-"))
        yield stack, {**os.environ, "PYTHONPATH": str(_ROOT), FOLDER_VARIABLE: folder}


def _start(stack: ExitStack, command: Sequence[str], environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command, env=environment, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def end() -> None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(end)


@contextmanager
def easypay() -> Iterator[Subject]:
    """Run the scheduler with two workers."""
    with _base() as (stack, environment):
        os.environ[FOLDER_VARIABLE] = environment[FOLDER_VARIABLE]
        postgres = stack.enter_context(started(TestPostgres()))
        asyncio.run(postgres.create_schema())
        cluster = stack.enter_context(task_cluster(postgres, workers=_WORKERS))
        context: Any = ray.get_runtime_context()
        more = {
            "RAY_ADDRESS": context.gcs_address,
            "EASYPAY_BENCH_NAMESPACE": cluster.namespace,
        }
        feed = (sys.executable, "-m", "tests.bench.tasks.ours_feed")
        # Ray's token, and where the tables are, are in the environment by now.
        yield Subject("easypay", feed, {**environment, **os.environ, **more}, postgres)


@contextmanager
def procrastinate() -> Iterator[Subject]:
    """Run procrastinate, which keeps its tasks in PostgreSQL too."""
    python = str(peer_python("procrastinate"))
    with _base() as (stack, environment):
        postgres = stack.enter_context(started(TestPostgres()))
        environment["EASYPAY_BENCH_URL"] = postgres.url(database="postgres")
        app = (python, "-m", "tests.bench.tasks.peers.procrastinate_app")
        subprocess.run([*app, "schema"], env=environment, cwd=_ROOT, check=True, timeout=_MORE_S)
        for _ in range(_WORKERS):
            _start(stack, [*app, "worker"], environment)
        time.sleep(_START_S)
        yield Subject("procrastinate", app, environment, postgres)


@contextmanager
def _on_redis(name: str, peer: str, worker: Callable[[str, str], Sequence[str]]) -> Iterator[Subject]:
    python, module = str(peer_python(peer)), f"tests.bench.tasks.peers.{peer}_app"
    with _base() as (stack, environment):
        redis = stack.enter_context(started(TestRedis("--appendonly", "yes", "--appendfsync", "everysec")))
        environment["EASYPAY_BENCH_REDIS"] = redis.url
        for _ in range(_WORKERS):
            _start(stack, worker(python, module), environment)
        time.sleep(_START_S)
        yield Subject(name, (python, "-m", module), environment, None)


def arq() -> Any:
    """Run arq, which keeps its tasks in Redis."""
    return _on_redis("arq", "arq", lambda python, module: [python, "-m", module, "worker"])


def taskiq() -> Any:
    """Run taskiq-redis on streams, which acknowledges what has been run."""
    return _on_redis(
        "taskiq-redis",
        "taskiq",
        lambda python, module: [
            python, "-m", "taskiq", "worker", f"{module}:broker", "-w", "1", "--max-async-tasks", "100",
        ],
    )  # fmt: skip


@contextmanager
def long_readers(postgres: TestPostgres, table: str, count: int) -> Iterator[None]:
    """Keep that many REPEATABLE READ transactions open, which have read the table."""
    loop = asyncio.new_event_loop()

    async def begin() -> list[asyncpg.Connection]:
        url = postgres.url(database="easypay" if table == "tasks" else "postgres")
        connections = [await asyncpg.connect(url) for _ in range(count)]
        for connection in connections:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            await connection.fetchval(f"SELECT count(*) FROM {table}")
        return connections

    connections = loop.run_until_complete(begin())
    try:
        yield
    finally:
        for connection in connections:
            connection.terminate()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def unrecorded(postgres: TestPostgres, table: str) -> int:
    """Return how many of our tasks, or procrastinate's, have run without a record of their end in the table yet."""
    return asyncio.run(_count(postgres, table))


async def _count(postgres: TestPostgres, table: str) -> int:
    ours = table == "tasks"
    connection = await asyncpg.connect(postgres.url(database="easypay" if ours else "postgres"))
    try:
        open_ones = "finished_at IS NULL" if ours else "status IN ('todo', 'doing')"
        return int(await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {open_ones}"))
    finally:
        await connection.close()
