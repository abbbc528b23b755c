"""The scheduler of tasks and its workers on a Ray of this machine, kept by the supervisor."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import ray

from cluster.supervisor import start_supervisor
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.ray_tasks import URL_VARIABLE, task_actors

WORKER, SCHEDULER = "ray::TaskWorkerActor", "ray::TaskSchedulerActor"
_WITHIN_S = 60.0


class TaskCluster:
    """Kills processes of one Ray, and only of that."""

    def __init__(self, namespace: str, folder: str) -> None:
        self.namespace = namespace
        self._folder = folder

    def find(self, title: str) -> list[int]:
        """Return the process ids whose title starts so."""
        return [
            process.pid for process in psutil.Process().children(recursive=True) if _title(process).startswith(title)
        ]

    def kill(self, pid: int) -> None:
        """End a process as a crash does."""
        os.kill(pid, signal.SIGKILL)

    def pid_of(self, name: str) -> int:
        """Return the process of a worker."""
        actor: Any = ray.get_actor(name, self.namespace)
        state = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()), timeout=_WITHIN_S)
        return int(state)


@contextmanager
def task_cluster(postgres: TestPostgres, *, workers: int = 2, cpus: int = 2) -> Iterator[TaskCluster]:
    """Run them in a folder whose path is short enough for a socket; they end with the block."""
    folder, namespace = tempfile.mkdtemp(prefix="ept-", dir="/tmp"), f"tasks-{uuid.uuid4().hex[:8]}"
    os.environ[URL_VARIABLE] = postgres.url(APP_ROLE)
    ray.init(
        num_cpus=cpus, include_dashboard=False, _temp_dir=folder, log_to_driver=False, configure_logging=False,
        namespace=namespace,
    )  # fmt: skip
    try:
        start_supervisor(task_actors(namespace, workers), None, "supervisor", namespace, within_s=_WITHIN_S)
        yield TaskCluster(namespace, folder)
    finally:
        ray.shutdown()
        del os.environ[URL_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)


async def until_ended(connection: Any, count: int, *, within_s: float) -> None:
    """Wait until no more than so many tasks are pending."""
    async with asyncio.timeout(within_s):
        while await connection.fetchval("SELECT count(*) FROM tasks WHERE finished_at IS NULL") > count:
            await asyncio.sleep(0.05)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
