"""Ray's control store is killed: it comes back by itself, knows what it knew, and no actor is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private.services import GCS_SERVER_EXECUTABLE
from ray.exceptions import RayActorError, RaySystemError

from cluster.instance import end_marked, marked_processes, marks
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(400),
]

_WITHIN_S = 120.0


class Counter:
    """An actor with something to lose."""

    def __init__(self) -> None:
        self._count = 0

    def up(self) -> int:
        """Count."""
        self._count += 1
        return self._count


@dataclass(frozen=True)
class Head:
    """A head of its own, as the launcher starts it."""

    instance: str
    address: str
    process: subprocess.Popen[bytes]

    def control_store(self) -> int:
        """Return its process id; 0 while there is none."""
        found = [each.pid for each in marked_processes(self.instance) if GCS_SERVER_EXECUTABLE in each.cmdline()]
        return found[0] if found else 0

    def has_client_server(self) -> bool:
        """Whether it serves drivers on other machines."""
        return any("ray.util.client.server" in each.cmdline() for each in marked_processes(self.instance))


def _until(holds: Callable[[], bool]) -> float:
    """Wait until it holds, and return after how many seconds it did."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < _WITHIN_S
        time.sleep(0.05)
    return time.monotonic() - began


def _makes_an_actor() -> bool:
    """Whether an actor can be made: one that was asked for while the node made itself known anew is called off.

    One as all of ours are. A control store that has come back may take the owner of one that is not detached, which is
    the driver, for dead, and call each off from then on.
    """
    name = uuid.uuid4().hex
    other: Any = ray.remote(Counter).options(name=name, lifetime="detached", num_cpus=0).remote()
    try:
        return bool(ray.get(other.up.remote(), timeout=_WITHIN_S) == 1)
    except (RaySystemError, RayActorError):
        return False


@pytest.fixture
def head() -> Iterator[Head]:
    """Run a head without a dashboard, in a folder whose path is short enough for a socket."""
    folder, instance, port = tempfile.mkdtemp(prefix="epc-", dir="/tmp"), f"test-{uuid.uuid4().hex}", free_port()
    options = {
        "port": port, "temp-dir": folder, "num-cpus": 2, "include-dashboard": "false", "node-ip-address": "127.0.0.1",
        "dashboard-agent-listen-port": free_port(), "object-store-memory": 100_000_000,
    }  # fmt: skip
    command = [sys.executable, "-m", "cluster.control_store", "start", "--head", "--block", "--disable-usage-stats"]
    # Else a token that lies in the user's folder would be asked for.
    storage = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": f"{folder}/store", "RAY_AUTH_MODE": "disabled"}
    log = Path(folder) / "head.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in options.items())],
            env={**os.environ, **storage, **marks(instance, "ray")}, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        _until(lambda: "Ray runtime started" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield Head(instance, f"127.0.0.1:{port}", process)
    finally:
        ray.shutdown()
        end_marked(instance, term_s=1.0)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_killed_control_store_comes_back_and_knows_what_it_knew(head: Head) -> None:
    """The rest of Ray lives on, an actor with its state; and what needs the control store works again. There is no
    server for Ray's clients, which `ray start` alone would start."""
    assert not head.has_client_server()
    ray.init(f"[::ffff:{head.address.partition(':')[0]}]:{head.address.partition(':')[2]}", log_to_driver=False,
             configure_logging=False, namespace="n")  # fmt: skip
    made: Any = ray.remote(Counter).options(name="before", lifetime="detached", num_cpus=0).remote()
    assert ray.get(made.up.remote(), timeout=_WITHIN_S) == 1
    killed = head.control_store()
    os.kill(killed, signal.SIGKILL)
    assert ray.get(made.up.remote(), timeout=_WITHIN_S) == 2
    took_s = _until(lambda: head.control_store() not in (0, killed))
    found: Any = ray.get_actor("before")
    assert ray.get(found.up.remote(), timeout=_WITHIN_S) == 3
    _until(_makes_an_actor)
    print(f"the control store ran again after {took_s:.1f} s")
    assert head.process.poll() is None
