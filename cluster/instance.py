"""The processes of one gateway, found by the mark that each carries in its environment.

A process that we start inherits the mark to all that it starts in turn: Ray's workers, HAProxy, jobs. So what a killed
launcher left behind can be told from everything else on the machine, another gateway included.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import psutil

INSTANCE_VARIABLE = "EASYPAY_INSTANCE"
CHILD_VARIABLE = "EASYPAY_CHILD"

_TERM_S = 3.0
_KILL_S = 5.0


def marks(instance: str, child: str) -> dict[str, str]:
    """Return the variables that mark a child process of a gateway and all its descendants."""
    return {INSTANCE_VARIABLE: instance, CHILD_VARIABLE: child}


def clean_environment() -> dict[str, str]:
    """Return our environment for embedded servers: without the variables that would change how they run."""
    foreign = ("PG", "POSTGRES", "LC_", "LANG", "DATABASE_", "REDIS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def marked_processes(instance: str, child: str | None = None) -> list[psutil.Process]:
    """Find all processes with the mark of a gateway, or of one of its children; not this one and its ancestors.

    Costs a few milliseconds for a hundred processes of the machine.
    """
    assert instance, "an empty mark would match processes that are not ours"
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process for process in psutil.process_iter() if process.pid not in spared and _carries(process, instance, child)
    ]


def _carries(process: psutil.Process, instance: str, child: str | None) -> bool:
    try:
        environment = process.environ()
    # ValueError: a process that is being replaced shows half an environment. It is found by the next look.
    except (psutil.Error, OSError, ValueError):
        return False
    if environment.get(INSTANCE_VARIABLE) != instance:
        return False
    return child is None or environment.get(CHILD_VARIABLE) == child


def end_processes(processes: Iterable[psutil.Process], *, term_s: float = _TERM_S) -> int:
    """Ask processes to end, kill those that have not after `term_s` seconds, and return how many there were.

    A process id that was given to another process meanwhile is left alone.
    """
    found = list(processes)
    _signal(found, "terminate")
    _, alive = psutil.wait_procs(found, timeout=term_s)
    _signal(alive, "kill")
    psutil.wait_procs(alive, timeout=_KILL_S)
    return len(found)


def end_marked(instance: str, child: str | None = None, *, term_s: float = _TERM_S) -> int:
    """End all processes with a mark, those included that are started meanwhile; return how many there were."""
    ended = 0
    while processes := marked_processes(instance, child):
        ended += end_processes(processes, term_s=term_s)
        # From the second round on there are only those that a dying parent started just before its end.
        term_s = 0.0
        if ended > 10_000:
            raise RuntimeError("processes of the gateway are started faster than they can be ended")
    return ended


def _signal(processes: Sequence[psutil.Process], how: str) -> None:
    for process in processes:
        try:
            getattr(process, how)()
        except psutil.NoSuchProcess:
            continue
