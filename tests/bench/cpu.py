"""CPU time by group of processes, as the kernel accounts it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

# The first prefix of a command line that fits names the group; Ray writes what a worker is into its command
# line.
PREFIXES = (
    ("ray::ServeReplica:bench-echo", "echo replicas"),
    ("ray::ServeReplica:bench-read-echo", "echo replicas"),
    ("ray::ServeReplica:bench-read-echo", "echo replicas"),
    ("ray::ServeReplica:bench-read", "peer replicas"),
    ("ray::ServeReplica", "easypay replicas"),
    ("ray::ServeController", "serve control"),
    ("ray::ProxyActor", "serve control"),
    ("ray::HAProxyManager", "serve control"),
    ("ray::CacheShardActor", "cache shards"),
    ("ray::IDLE", "ray"),
    ("ray::DashboardAgent", "ray"),
    ("ray::RuntimeEnvAgent", "ray"),
    ("ray::", "actors"),
)
NAMES = {"haproxy": "haproxy", "postgres": "postgresql", "redis-server": "redis"}
RAY_PARTS = ("/ray/", "raylet", "gcs_server", "/bin/ray")


@dataclass(frozen=True, slots=True)
class CpuReading:
    """Hold seconds of CPU time used since its start by each process of interest, and each one's group."""

    seconds: Mapping[tuple[int, float], float]
    groups: Mapping[tuple[int, float], str]

    def since(self, earlier: CpuReading) -> dict[str, float]:
        """Return the seconds by group since an earlier reading, without processes that ended in between."""
        spent: defaultdict[str, float] = defaultdict(float)
        for process, seconds in self.seconds.items():
            spent[self.groups[process]] += seconds - earlier.seconds.get(process, 0.0)
        return {group: round(seconds, 4) for group, seconds in spent.items()}


def read_cpu(roots: Mapping[int, str]) -> CpuReading:
    """Read the roots and all that descends from them; `roots` gives the group of what fits no other."""
    seconds: dict[tuple[int, float], float] = {}
    groups: dict[tuple[int, float], str] = {}
    for root, fallback in roots.items():
        for process in _tree(root):
            try:
                with process.oneshot():
                    identity = (process.pid, process.create_time())
                    times = process.cpu_times()
                    groups[identity] = classify(process.name(), process.cmdline(), fallback)
                    seconds[identity] = times.user + times.system
            except psutil.Error:
                continue
    return CpuReading(seconds, groups)


def replica_pids(root: int) -> list[int]:
    """Return the process ids of the gateway's replicas."""
    return [
        process.pid
        for process in _tree(root)
        if process.is_running() and classify(process.name(), process.cmdline(), "") == "easypay replicas"
    ]


def classify(name: str, command: list[str], fallback: str) -> str:
    """Name the group of a process."""
    line = " ".join(command)
    for prefix, group in PREFIXES:
        if line.startswith(prefix):
            return group
    if name in NAMES:
        return NAMES[name]
    if any(part in line for part in RAY_PARTS):
        return "ray"
    return fallback


def _tree(root: int) -> Iterable[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
