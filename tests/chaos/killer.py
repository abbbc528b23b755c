"""Kills processes of one gateway: by their title, and only those that carry its mark."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import psutil

from cluster.data_dir import DataDir
from cluster.instance import marked_processes

REPLICA = "ray::ServeReplica:easypay:gateway"
SHARD = "ray::CacheShardActor"
POOL_MANAGER = "ray::PoolManagerActor"
TASK_SCHEDULER = "ray::TaskSchedulerActor"
TASK_WORKER = "ray::TaskWorkerActor"


class Killer:
    """Knows the processes of the gateway of a data directory."""

    def __init__(self, data_dir: Path, seed: int) -> None:
        self._instance = DataDir(data_dir).instance
        self._random = random.Random(seed)

    def find(self, title: str) -> list[int]:
        """Return the process ids whose title starts so."""
        return [process.pid for process in marked_processes(self._instance) if _title(process).startswith(title)]

    def kill_one(self, *titles: str) -> str | None:
        """Kill one process of a title chosen at random and return the title; None where there is none just now."""
        title = self._random.choice(titles)
        found = self.find(title)
        if not found:
            return None
        os.kill(self._random.choice(found), signal.SIGKILL)
        return title


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
