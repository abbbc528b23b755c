"""What a process and its machine use: processor time, memory, disk, file handles.

In a container that is bounded, of memory and processors its bounds are what counts, and else the machine. Reading all
takes 0.2 to 0.5 ms, mostly to list what is open, so it is done once a second at most: five parts in ten thousand of a
processor.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from actors.monitor.instruments import Readings
from serve_app.monitoring.container import ControlGroups
from serve_app.monitoring.names import (
    MACHINE_CPU,
    MACHINE_DISK,
    MACHINE_MEMORY,
    PROCESS_CPU,
    PROCESS_FILES,
    PROCESS_MEMORY,
    UTILISATION,
)

EVERY_S = 1.0


class ProcessFigures:
    """A source of what this process uses."""

    def __init__(self, process: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = process
        self._clock = clock
        self._process = psutil.Process(os.getpid())
        self._due = 0.0
        self._files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    def __call__(self, readings: Readings) -> None:
        """Tell it, if a second has passed since."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + EVERY_S
        with self._process.oneshot():
            times = self._process.cpu_times()
            memory_bytes = self._process.memory_info().rss
            files = self._process.num_fds()
        readings.counter(PROCESS_CPU, times.user + times.system, process=self._label)
        readings.gauge(PROCESS_MEMORY, memory_bytes, process=self._label)
        readings.gauge(PROCESS_FILES, files, process=self._label)
        if self._files_max != resource.RLIM_INFINITY:
            readings.gauge(UTILISATION, files / self._files_max, resource="files")


class MachineFigures:
    """A source of what the machine, or the container, uses: of its processors since the reading before, of its memory
    and of the disk that holds `folder` now. One process of a machine is enough to tell it."""

    def __init__(
        self,
        node: str,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        groups: ControlGroups | None = None,
    ) -> None:
        """`groups` are the control groups of this process, unless said."""
        self._label = node
        self._folder = folder
        self._clock = clock
        self._due = 0.0
        self._groups = groups or ControlGroups()
        self._busy_s, self._all_s = self._processor_seconds()

    def __call__(self, readings: Readings) -> None:
        """Tell it, if a second has passed since."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + EVERY_S
        used = {
            MACHINE_CPU: ("cpu", self._processors()),
            MACHINE_MEMORY: ("memory", self._memory()),
            MACHINE_DISK: ("disk", psutil.disk_usage(str(self._folder)).percent / 100),
        }
        for name, (bounded, share) in used.items():
            if share is not None:
                readings.gauge(name, share, node=self._label)
                readings.gauge(UTILISATION, share, resource=bounded)

    def _processors(self) -> float | None:
        """Return the part of the time since the reading before that processors were busy, None where none has passed.

        Not by `psutil.cpu_percent`: it keeps its last reading for the whole process, and whoever else asks in between
        takes a part of it.
        """
        busy_s, all_s = self._processor_seconds()
        busy_before_s, self._busy_s = self._busy_s, busy_s
        all_before_s, self._all_s = self._all_s, all_s
        if all_s <= all_before_s:
            return None
        return min(1.0, max(0.0, (busy_s - busy_before_s) / (all_s - all_before_s)))

    def _memory(self) -> float:
        """Return the part of memory that is used: of the container's where it may have less than there is."""
        bound, machine = self._groups.memory(), psutil.virtual_memory()
        if bound is None or bound.limit >= machine.total:
            return machine.percent / 100
        return min(1.0, bound.used / bound.limit)

    def _processor_seconds(self) -> tuple[float, float]:
        """Return the seconds that processors were busy, and that there were for whoever may use them."""
        bound = self._groups.processors()
        if bound is None or bound.cores >= (os.cpu_count() or 1):
            return _of_machine()
        return bound.used_s, bound.cores * self._clock()


def _of_machine() -> tuple[float, float]:
    """Return the seconds that all processors were busy and that there were, since the machine started."""
    times = psutil.cpu_times()
    # The time of guests is in that of the processes that run them.
    every_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    return every_s - idle_s, every_s
