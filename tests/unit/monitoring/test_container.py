"""The bounds of a container are read as the kernel writes them, in both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from actors.monitor.instruments import Instruments
from actors.monitor.series import series
from serve_app.monitoring.container import ControlGroups, Memory, Processors
from serve_app.monitoring.machine import EVERY_S, MachineFigures
from serve_app.monitoring.names import MACHINE_CPU, MACHINE_MEMORY, UTILISATION

_GB = 1 << 30
_NO_LIMIT_1 = 9223372036854771712
"""What version 1 says where there is no bound: as many pages as fit into a signed number."""


class _Kernel:
    """The file systems of a kernel, in a folder."""

    def __init__(self, root: Path, groups: str) -> None:
        self.root = root
        self._write("proc/self/cgroup", groups)

    def version_2(self, group: str, *, memory: str = "max", used: int = 0, cpu: str = "max 100000") -> None:
        """Write a group, which has used 1.5 s of processors and keeps a tenth of its memory for files."""
        mount = "sys/fs/cgroup"
        self._write(f"{mount}/cgroup.controllers", "cpuset cpu io memory pids")
        self._write(f"{mount}/{group}/memory.max", memory)
        self._write(f"{mount}/{group}/memory.current", used)
        self._write(f"{mount}/{group}/memory.stat", f"anon {used}\ninactive_file {used // 10}\nactive_file 0")
        self._write(f"{mount}/{group}/cpu.max", cpu)
        self.use(group, 1.5)

    def use(self, group: str, used_s: float) -> None:
        """Say how much of processors a group of version 2 has used."""
        self._write(f"sys/fs/cgroup/{group}/cpu.stat", f"usage_usec {round(used_s * 1e6)}\nuser_usec 1")

    def version_1(self, group: str, *, memory: int = _NO_LIMIT_1, used: int = 0, quota_us: int = -1) -> None:
        """Write a group likewise, with each controller apart."""
        mount = "sys/fs/cgroup"
        self._write(f"{mount}/memory/{group}/memory.limit_in_bytes", memory)
        self._write(f"{mount}/memory/{group}/memory.usage_in_bytes", used)
        self._write(
            f"{mount}/memory/{group}/memory.stat", f"cache 1\ninactive_file 1\ntotal_inactive_file {used // 10}"
        )
        self._write(f"{mount}/cpu/{group}/cpu.cfs_quota_us", quota_us)
        self._write(f"{mount}/cpu/{group}/cpu.cfs_period_us", 100_000)
        self._write(f"{mount}/cpuacct/{group}/cpuacct.usage", 1_500_000_000)

    def _write(self, path: str, content: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")


def test_version_2_in_a_container(tmp_path: Path) -> None:
    """What is mounted is the container's own group. Files that the kernel can take back are not in use."""
    kernel = _Kernel(tmp_path, "0::/")
    kernel.version_2("", memory=str(4 * _GB), used=2 * _GB, cpu="150000 100000")
    groups = ControlGroups(tmp_path)
    assert groups.memory() == Memory(2 * _GB - 2 * _GB // 10, 4 * _GB)
    assert groups.processors() == Processors(1.5, 1.5)


def test_the_tightest_of_several_counts_with_what_is_used_of_it(tmp_path: Path) -> None:
    """As for a service of systemd: a group within others, of which any may be bounded."""
    kernel = _Kernel(tmp_path, "0::/easypay.slice/gateway.service")
    kernel.version_2("", memory="max")
    kernel.version_2("easypay.slice", memory=str(2 * _GB), used=_GB, cpu="200000 100000")
    kernel.version_2("easypay.slice/gateway.service", memory=str(3 * _GB), used=10, cpu="400000 100000")
    kernel.use("easypay.slice", 7)
    groups = ControlGroups(tmp_path)
    assert groups.memory() == Memory(_GB - _GB // 10, 2 * _GB)
    assert groups.processors() == Processors(7, 2)


@pytest.mark.parametrize("group", ["", "docker/abc"])
def test_version_1_with_its_controllers_apart(tmp_path: Path, group: str) -> None:
    """In a container the path is that of the machine, and what is mounted the group itself; else it is below."""
    kernel = _Kernel(tmp_path, "4:memory:/docker/abc\n3:cpu:/docker/abc\n2:cpuacct:/docker/abc\n0::/")
    kernel.version_1(group, memory=4 * _GB, used=_GB, quota_us=50_000)
    groups = ControlGroups(tmp_path)
    assert groups.memory() == Memory(_GB - _GB // 10, 4 * _GB)
    assert groups.processors() == Processors(1.5, 0.5)


def test_version_1_with_two_controllers_in_one(tmp_path: Path) -> None:
    """As systemd mounts them: cpu and cpuacct are links to one folder."""
    kernel = _Kernel(tmp_path, "5:memory:/\n4:cpu,cpuacct:/pods/x")
    kernel.version_1("pods/x", quota_us=200_000)
    assert ControlGroups(tmp_path).processors() == Processors(1.5, 2)


def test_without_bounds_there_are_none(tmp_path: Path) -> None:
    """In either version; nor where there are no control groups at all."""
    assert (ControlGroups(tmp_path).memory(), ControlGroups(tmp_path).processors()) == (None, None)
    _Kernel(tmp_path / "1", "2:memory:/\n1:cpu,cpuacct:/").version_1("")
    assert ControlGroups(tmp_path / "1").processors() is None
    _Kernel(tmp_path / "2", "0::/").version_2("")
    unbounded = ControlGroups(tmp_path / "2")
    assert (unbounded.memory(), unbounded.processors()) == (None, None)


class _Seconds:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


def test_a_machine_tells_of_its_container_where_that_is_bounded(tmp_path: Path) -> None:
    """Of half a gigabyte and half a processor, whatever the machine has beside."""
    kernel, clock = _Kernel(tmp_path, "0::/"), _Seconds()
    kernel.version_2("", memory=str(_GB // 2), used=_GB // 4, cpu="50000 100000")
    instruments = Instruments("p-1", "n-1")
    instruments.source(MachineFigures("n-1", tmp_path, clock, ControlGroups(tmp_path)))
    first = instruments.take().gauges
    assert first[series(MACHINE_MEMORY, node="n-1")] == pytest.approx(0.45)
    kernel.use("", 1.5 + 0.4 * EVERY_S)
    clock.now += EVERY_S
    second = instruments.take().gauges
    assert second[series(MACHINE_CPU, node="n-1")] == pytest.approx(0.8)
    assert second[series(UTILISATION, resource="cpu")] == pytest.approx(0.8)


def test_a_bound_that_is_beyond_the_machine_is_none(tmp_path: Path) -> None:
    """As version 1 says that there is none; and a container may be promised more than there is."""
    kernel = _Kernel(tmp_path, "5:memory:/\n4:cpu,cpuacct:/")
    kernel.version_1("", memory=_NO_LIMIT_1, used=1, quota_us=100_000 * (psutil.cpu_count() or 1))
    instruments = Instruments("p-1", "n-1")
    instruments.source(MachineFigures("n-1", tmp_path, _Seconds(), ControlGroups(tmp_path)))
    told = instruments.take().gauges[series(MACHINE_MEMORY, node="n-1")]
    assert told == pytest.approx(psutil.virtual_memory().percent / 100, abs=0.1)
    assert told > 1 / psutil.virtual_memory().total
