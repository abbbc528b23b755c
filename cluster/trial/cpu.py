"""How much processor time all processes of one gateway have taken."""

from __future__ import annotations

import psutil

from cluster.instance import marked_processes


class CpuMeter:
    """Adds up the processor time of a gateway's processes between two looks, its embedded servers included.

    What a process took that began and ended in between is missed; one that ended counts until the last look.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._before = self._read()

    def lap_s(self) -> float:
        """Return the processor seconds since the last look."""
        now = self._read()
        spent = sum(seconds - self._before.get(process, 0.0) for process, seconds in now.items())
        self._before = now
        return spent

    def _read(self) -> dict[psutil.Process, float]:
        found: dict[psutil.Process, float] = {}
        for process in marked_processes(self._instance):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue  # It has just ended.
            found[process] = times.user + times.system
        return found
