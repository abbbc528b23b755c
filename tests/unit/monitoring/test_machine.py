"""What a process and its machine use is read from the machine itself."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from actors.monitor.instruments import Instruments
from actors.monitor.series import series
from serve_app.monitoring.machine import EVERY_S, MachineFigures, ProcessFigures
from serve_app.monitoring.names import (
    MACHINE_CPU,
    MACHINE_DISK,
    MACHINE_MEMORY,
    PROCESS_CPU,
    PROCESS_FILES,
    PROCESS_MEMORY,
    UTILISATION,
)


class _Seconds:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


def test_a_process_tells_what_it_uses() -> None:
    """Processor time that rises, memory, and one more handle for each file that is opened."""
    instruments, clock = Instruments("p-1"), _Seconds()
    instruments.source(ProcessFigures("p-1", clock))
    first = instruments.take()
    memory = first.gauges[series(PROCESS_MEMORY, process="p-1")]
    assert 0.5 < memory / psutil.Process().memory_info().rss < 2
    assert first.counters[series(PROCESS_CPU, process="p-1")] > 0
    files = first.gauges[series(PROCESS_FILES, process="p-1")]
    clock.now += EVERY_S
    pipes = [os.pipe() for _ in range(5)]
    try:
        more = instruments.take().gauges[series(PROCESS_FILES, process="p-1")]
    finally:
        for reading, writing in pipes:
            os.close(reading)
            os.close(writing)
    assert more == files + 10


def test_it_is_read_once_a_second_at_most() -> None:
    """Reports come four times as often; in between there is nothing to pay."""
    instruments, clock = Instruments("p-1"), _Seconds()
    instruments.source(ProcessFigures("p-1", clock))
    instruments.take()
    _burn()
    clock.now += EVERY_S / 2
    assert instruments.take().counters == {}
    clock.now += EVERY_S / 2
    assert instruments.take().counters[series(PROCESS_CPU, process="p-1")] > 0


def test_a_machine_tells_parts_of_a_whole(tmp_path: Path) -> None:
    """Of its processors since the reading before, of its memory and its disk; each is a bounded resource too."""
    instruments, clock = Instruments("p-1", "n-1"), _Seconds()
    instruments.source(MachineFigures("n-1", tmp_path, clock))
    first = instruments.take().gauges
    for name, resource in ((MACHINE_MEMORY, "memory"), (MACHINE_DISK, "disk")):
        assert 0 < first[series(name, node="n-1")] <= 1
        assert first[series(UTILISATION, resource=resource)] == first[series(name, node="n-1")]
    _burn()
    clock.now += EVERY_S
    gauges = instruments.take().gauges
    busy = gauges[series(MACHINE_CPU, node="n-1")]
    assert 0 < busy <= 1
    assert gauges[series(UTILISATION, resource="cpu")] == busy


def _burn() -> None:
    """Use a processor for long enough that the system's clock of a hundredth of a second has moved."""
    began = psutil.Process().cpu_times()
    while True:
        sum(range(1000))
        now = psutil.Process().cpu_times()
        if now.user + now.system - began.user - began.system >= 0.03:
            return
