"""`easypay down`: stop a gateway, and whatever is left of one."""

from __future__ import annotations

import psutil

from cluster.cli.options import DataDirOption, data_dir, fail, messages
from cluster.data_dir import DataDir
from cluster.instance import end_marked
from cluster.state import StateFile

# The longest orderly stop: each child's own time, one after the other.
_STOP_S = 110.0


def down(directory: DataDirOption = None) -> None:
    """Stop everything that `up` started, and only that. Data and keys stay."""
    data = data_dir(directory)
    launcher = data.holder()
    if launcher is not None:
        _stop(launcher, data)
    left = end_marked(data.instance) if data.instance else 0
    StateFile(data.state_file).remove()
    messages().print(_summary(data, launcher, left))


def _stop(launcher: psutil.Process, data: DataDir) -> None:
    with messages().status("Stopping"):
        launcher.terminate()
        try:
            launcher.wait(_STOP_S)
        except psutil.TimeoutExpired:
            launcher.kill()
            launcher.wait(5)
    if data.holder() is not None:
        fail(f"another gateway was started on {data.path} meanwhile")


def _summary(data: DataDir, launcher: psutil.Process | None, left: int) -> str:
    if launcher is not None:
        return f"The gateway on {data.path} is stopped."
    if left:
        return f"The gateway's launcher was gone; {left} processes that it had left were ended."
    return f"No gateway runs on {data.path}."
