"""What the gateway's processes hold in memory."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from tests.bench.cpu import replica_pids

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Hold MiB: the resident set of each replica, by process id, and the proportional set of all processes together.

    The proportional set counts a page that processes share once: PostgreSQL's buffers lie in the resident set of every
    one of its processes, Ray's libraries in that of every worker.
    """

    replicas_mib: dict[int, float]
    all_mib: float

    @property
    def replicas_total_mib(self) -> float:
        """Of all replicas together."""
        return sum(self.replicas_mib.values())


def read_memory(root: int) -> Memory:
    """Read the tree of processes below this one, as the kernel accounts it."""
    return Memory(read_replicas(replica_pids(root)), sum(_proportional(each) for each in _tree(root)) / MIB)


def read_replicas(pids: list[int]) -> dict[int, float]:
    """Read the resident sets of these processes, in MiB; one that has ended has none."""
    return {pid: psutil.Process(pid).memory_info().rss / MIB for pid in pids if psutil.pid_exists(pid)}


class Watch:
    """Remembers the largest sum of the replicas' resident sets that it saw."""

    def __init__(self, root: int) -> None:
        self._pids = replica_pids(root)
        self.peak_mib = 0.0

    def look(self) -> None:
        """Look once."""
        self.peak_mib = max(self.peak_mib, sum(read_replicas(self._pids).values()))


def _tree(root: int) -> list[psutil.Process]:
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def _proportional(process: psutil.Process) -> int:
    try:
        found: int = process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0
    return found
