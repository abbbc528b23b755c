"""The bounds of the container that this process runs in: its memory, and its processors.

What /proc tells is the whole machine's: in a container that may have 4 of 64 GB, memory that is used to a tenth there
is used up here, and the kernel ends a process. So the bounds are read where the kernel keeps them, in control groups.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst; of what is used, files that are kept in
memory and have not been read lately do not count, for the kernel takes them back first (as the kubelet reckons it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """The bytes that are used, and that there are."""

    used: int
    limit: int


class Processors(NamedTuple):
    """The seconds of processors that were used so far, and how many processors there are."""

    used_s: float
    cores: float


class _MemoryFiles(NamedTuple):
    limit: str
    used: str
    stale: str


_MEMORY_2 = _MemoryFiles("memory.max", "memory.current", "inactive_file")
_MEMORY_1 = _MemoryFiles("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


class ControlGroups:
    """Read what the control groups of this process may use, and use; of several within each other the tightest counts.

    Both versions of control groups are known. A bound may change while the process runs, and is read each time.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """`root` is where the file systems of the kernel are mounted."""
        mount = root / "sys/fs/cgroup"
        paths = dict(_paths(root / "proc/self/cgroup"))
        self._is_2 = (mount / "cgroup.controllers").exists()
        memory, cpu, usage = ("", "", "") if self._is_2 else ("memory", "cpu", "cpuacct")
        self._memory = _lineage(mount / memory, paths.get(memory, "/"))
        # Where two controllers are apart, a group has the same path in both.
        self._cpu = [
            (folder, mount / usage / folder.relative_to(mount / cpu))
            for folder in _lineage(mount / cpu, paths.get(cpu, "/"))
        ]

    def memory(self) -> Memory | None:
        """Return the tightest bound of memory, with what is used of it; None where there is none."""
        files = _MEMORY_2 if self._is_2 else _MEMORY_1
        bounds = [(limit, folder) for folder in self._memory if (limit := _number(folder / files.limit)) is not None]
        if not bounds:
            return None
        limit, folder = min(bounds, key=lambda each: each[0])
        used = _number(folder / files.used)
        if used is None:
            return None
        return Memory(max(0, used - _stat(folder / "memory.stat", files.stale)), limit)

    def processors(self) -> Processors | None:
        """Return the tightest bound of processors, with what was used of it; None where there is none."""
        bounds = [(cores, usage) for folder, usage in self._cpu if (cores := self._quota(folder)) is not None]
        if not bounds:
            return None
        cores, folder = min(bounds, key=lambda each: each[0])
        used_s = self._used_s(folder)
        return None if used_s is None else Processors(used_s, cores)

    def _quota(self, folder: Path) -> float | None:
        if self._is_2:
            quota_us, _, period_us = _text(folder / "cpu.max").partition(" ")
        else:
            quota_us, period_us = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        # Without a bound the quota is `max`, or -1.
        if not (quota_us.isdecimal() and period_us.isdecimal() and int(period_us)):
            return None
        return int(quota_us) / int(period_us) or None

    def _used_s(self, folder: Path) -> float | None:
        if self._is_2:
            return _stat(folder / "cpu.stat", "usage_usec") / 1e6
        used_ns = _number(folder / "cpuacct.usage")
        return None if used_ns is None else used_ns / 1e9


def _paths(file: Path) -> Iterator[tuple[str, str]]:
    """Yield by controller, which is empty in version 2, the path of this process's group."""
    for line in _text(file).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, path


def _lineage(mount: Path, path: str) -> Sequence[Path]:
    """Return the folder of a group and of all that it lies within.

    In a container of version 1 the path is that of the machine, and what is mounted is the group itself.
    """
    own = mount / path.lstrip("/")
    if not own.is_dir():
        return [mount]
    return [folder for folder in (own, *own.parents) if folder == mount or mount in folder.parents]


def _stat(file: Path, name: str) -> int:
    """Return one of the numbers in a file that names them, 0 where it is not there."""
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _number(file: Path) -> int | None:
    """Return the number that is all of a file, None where there is none: no such file, or `max`."""
    text = _text(file)
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
