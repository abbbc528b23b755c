"""What a drill does to a gateway: the processes of the failure table, how they are found, and what must hold then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psutil

from cluster.instance import marked_processes


class Found(StrEnum):
    """How a process is told from the others of its gateway."""

    TITLE = "title"  # what Ray calls an actor's process
    PROGRAM = "program"  # the name of its program
    CHILD = "child"  # a child of the launcher, by the id that the launcher wrote down


@dataclass(frozen=True, slots=True)
class Fault:
    """A process that is killed. ``errors_allowed``: whether payments may be answered with an error meanwhile; each is
    repeated with its key in any case. ``within_s``: how soon payments must be answered without one again. ``youngest``:
    only the youngest of those that are found is at work, the others end once their last connection has."""

    name: str
    how: Found
    mark: str
    promise: str
    errors_allowed: bool
    within_s: float
    youngest: bool = False

    def victim(self, found: Sequence[psutil.Process]) -> psutil.Process:
        """Return which of the processes that were found, one at least, is killed.

        Of HAProxy there is, beside the one that takes requests, one for each reload that still has an open stream.
        """
        return max(found, key=_began_at) if self.youngest else found[0]


FAULTS: tuple[Fault, ...] = (
    Fault("replica", Found.TITLE, "ray::ServeReplica:easypay:gateway", "what was in flight is repeated", True, 30),
    Fault("shard", Found.TITLE, "ray::CacheShardActor", "no error to merchants", False, 30),
    Fault("pool-manager", Found.TITLE, "ray::PoolManagerActor", "running leases go on", False, 30),
    Fault("scheduler", Found.TITLE, "ray::TaskSchedulerActor", "payments do not notice; no task is lost", False, 30),
    Fault("worker", Found.TITLE, "ray::TaskWorkerActor", "payments do not notice; an orphan runs again", False, 30),
    Fault("monitor", Found.TITLE, "ray::MonitorAggregatorActor", "payments do not notice", False, 30),
    Fault("redis", Found.CHILD, "redis", "no error to merchants; slower", False, 30),
    Fault("postgres", Found.CHILD, "postgres", "503 with Retry-After; recovery by itself", True, 30),
    Fault("haproxy", Found.PROGRAM, "haproxy", "served again within 3 s", True, 3, youngest=True),
    Fault("control-store", Found.PROGRAM, "gcs_server", "payments go on; it comes back by itself", True, 120),
)  # fmt: skip
"""The lines of the failure table that concern one process, the gentle ones first."""


def find(
    fault: Fault, instance: str, children: Mapping[str, Mapping[str, Any]] | None = None, launcher: int | None = None
) -> list[psutil.Process]:
    """Return the processes of this gateway, and of no other, that a fault may strike.

    Each stands for the process that was found, and not for its number: if that is given to another meanwhile, a kill
    strikes nobody. ``children`` are the launcher's, as it has written them down.
    """
    if fault.how is Found.CHILD:
        child = (children or {}).get(fault.mark)
        return [] if child is None else _child(child["pid"], launcher)
    return [process for process in marked_processes(instance) if _matches(process, fault)]


def _child(pid: int, launcher: int | None) -> list[psutil.Process]:
    """Return the process if it is the launcher's: Redis writes its title over the mark that tells ours from others."""
    try:
        process = psutil.Process(pid)
        return [process] if process.ppid() == launcher else []
    except psutil.Error:
        return []


def _began_at(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.Error:
        # It has ended since it was found.
        return 0.0


def _matches(process: psutil.Process, fault: Fault) -> bool:
    try:
        if fault.how is Found.PROGRAM:
            return process.name() == fault.mark
        return " ".join(process.cmdline()).startswith(fault.mark)
    except psutil.Error:
        return False
