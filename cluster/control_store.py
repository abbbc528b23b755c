"""Ray's command line, with a control store that comes back by itself and without a server for Ray's clients.

`ray start --block` looks once a second which of its processes have died, and ends the whole of Ray if one has, the
control store among them: with it go all replicas, for a process that held no payment. Here the control store alone is
started again, under the same arguments and so on the same port and the same store on disk. Node managers, workers and
drivers hold on for a minute (`gcs_rpc_server_reconnect_timeout_s`) and go on where they were; requests do not need it.

It is Ray's `Node` that knows how its control store is started, so this waits on its own list of dead processes. A
control store that dies at once again and again ends Ray after all: then its store is damaged, and the launcher starts
everything anew on an empty one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from ray._private.node import Node
from ray._private.ray_constants import PROCESS_TYPE_GCS_SERVER, PROCESS_TYPE_RAYLET

DEATHS_MAX, WITHIN_S = 5, 60.0
"""So many deaths within this time are no accident."""

_UNUSED_COMMANDS = ("ray.serve.scripts", "ray.util.state.state_cli", "ray.dashboard.modules.job.cli")


class Deaths:
    """Counts how often something died of late; told the time."""

    def __init__(self, most: int = DEATHS_MAX, within_s: float = WITHIN_S) -> None:
        self._most = most
        self._within_s = within_s
        self._times: list[float] = []

    def may_come_back(self, now: float) -> bool:
        """Note a death, and tell whether what died is to be started again."""
        self._times = [at for at in self._times if at > now - self._within_s]
        self._times.append(now)
        return len(self._times) < self._most


class ControlStoreKeeper:
    """Starts a node's control store again where that is what died."""

    def __init__(self, dead_processes: Callable[[Node], list[Any]], deaths: Deaths) -> None:
        self._dead_processes = dead_processes
        self._deaths = deaths

    def dead_processes(self, node: Node) -> list[Any]:
        """Return the node's processes that are dead and stay so."""
        dead = self._dead_processes(node)
        others = [each for each in dead if each[0] != PROCESS_TYPE_GCS_SERVER]
        if len(others) == len(dead):
            return others
        # `ray stop` ends the node manager first: a head without one is to end, and has no use for a control store.
        if any(each[0] == PROCESS_TYPE_RAYLET for each in others):
            return dead
        if not self._deaths.may_come_back(time.monotonic()):
            return dead
        print("the control store has died; starting it again", flush=True)
        del node.all_processes[PROCESS_TYPE_GCS_SERVER]
        # Ray's own `kill_gcs_server` does this after it ended one, so that another may be started.
        node._gcs_address = None
        node._gcs_client = None
        node.start_gcs_server()  # type: ignore[no-untyped-call]
        return others


def main() -> None:
    """Run Ray's command line with the arguments of this program."""
    keeper = ControlStoreKeeper(Node.dead_processes, Deaths())
    Node.dead_processes = lambda node: keeper.dead_processes(node)  # type: ignore[method-assign]
    # It serves drivers on other machines, and `ray start` has no option to leave it out. Nobody here is its client, it
    # listens beyond loopback, and its start takes 0.8 s of a processor.
    Node.start_ray_client_server = lambda _: None  # type: ignore[method-assign]
    leave_out_unused_commands()
    # The script `ray` beside our Python, but found by import: it works in any kind of installation.
    from ray.scripts.scripts import main as ray

    sys.argv[0] = "ray"
    ray()  # type: ignore[no-untyped-call]


def leave_out_unused_commands() -> None:
    """Have Ray's command line do without what `ray start` does not need: Serve above all, and pandas with it.

    They are 1.0 s of the 1.3 s of a processor that it takes to load, and the head waits for it. Ray goes on where one
    of them cannot be imported; None is Python's way to say that a module cannot.
    """
    for name in _UNUSED_COMMANDS:
        sys.modules[name] = None  # type: ignore[assignment]


if __name__ == "__main__":
    main()
