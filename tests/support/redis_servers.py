"""Redis servers for tests: real, on free ports, with data of their own, and stopped, killed and frozen at will."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from cluster.embedded.redis import find_server
from tests.support.polling import eventually
from tests.support.ports import free_port

_START_WITHIN_S = 20.0
_SLOTS = 16_384


class TestRedis:
    """One server process. What it holds outlives `stop` and not `kill`, unless it was saved (``SAVE``)."""

    __test__ = False

    def __init__(self, *options: str, port: int | None = None, program: Path | None = None) -> None:
        """``program`` is the server to run, None: the one that the gateway would run."""
        self.folder = Path(tempfile.mkdtemp(prefix="easypay-redis-"))
        self.port = free_port() if port is None else port
        self.socket = self.folder / "redis.sock"
        self._options = options
        self._program = program
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL over TCP."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """The URL over the socket in its folder."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        """Start the server and wait until it answers, also that it has read its data."""
        program = self._program or find_server(None, self.folder / "programs")[0]
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            # Far apart, so that a test says when it saves; and not empty, so that SIGTERM does.
            "save": "86400 1",
            "appendonly": "no",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen([str(program), *options, *self._options], stdout=log, stderr=log)
        self._wait()

    def stop(self) -> None:
        """Save and end the server."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server: it takes connections, for the system does that, and answers nothing."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """End the server and delete its data."""
        if self._server is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *words: Any) -> Any:
        """Run one command over a connection of its own."""
        with redis.Redis(port=self.port, socket_timeout=_START_WITHIN_S) as client:
            return client.execute_command(*words)

    def _end(self, how: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(how)
        self._server.wait(timeout=_START_WITHIN_S)
        self._server = None

    def _wait(self) -> None:
        assert self._server is not None
        give_up = time.monotonic() + _START_WITHIN_S
        while True:
            with contextlib.suppress(redis.ConnectionError):
                self.ask("PING")
                return
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < give_up, "Redis did not start"
            time.sleep(0.02)


class TestRedisCluster:
    """A Redis Cluster of three primaries without replicas, each with a third of the slots.

    A node that ends takes its own slots away and no others (``cluster-require-full-coverage no``).
    """

    __test__ = False

    def __init__(self) -> None:
        # The bus has a port of its own: the usual one, 10000 higher, may be given to an outgoing connection.
        self._bus_ports = [free_port() for _ in range(3)]
        self.nodes = [TestRedis(*_cluster_options(bus_port)) for bus_port in self._bus_ports]

    @property
    def url(self) -> str:
        """The URL of the first node."""
        return self.nodes[0].url

    def start(self) -> None:
        """Start the nodes, make them a cluster, and wait until each knows all."""
        for node in self.nodes:
            node.start()
        bounds = [_SLOTS * index // 3 for index in range(4)]
        for index, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            node.ask("CLUSTER", "ADDSLOTS", *range(bounds[index], bounds[index + 1]))
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self._bus_ports[0])
        for node in self.nodes:
            self.wait_for(node, "ok")

    def remove(self) -> None:
        """End the nodes and delete their data."""
        for node in self.nodes:
            node.remove()

    def node_of(self, key: str) -> TestRedis:
        """Return the node that holds a key, as long as no slot was moved."""
        return self.nodes[min(key_slot(key.encode()) * 3 // _SLOTS, 2)]

    def wait_for(
        self, node: TestRedis, state: str, *, slots_ok: int = _SLOTS, within_s: float = _START_WITHIN_S
    ) -> None:
        """Wait until a node says that the cluster of three is in this state, and that so many slots are served."""
        eventually(
            lambda: info_fields(node.ask("CLUSTER", "INFO")),
            lambda fields: (
                (fields["cluster_state"], fields["cluster_slots_ok"], fields["cluster_known_nodes"])
                == (state, str(slots_ok), "3")
            ),
            within_s=within_s,
        )


def _cluster_options(bus_port: int) -> Sequence[str]:
    return (
        *("--cluster-enabled", "yes"),
        *("--cluster-port", str(bus_port)),
        *("--cluster-node-timeout", "1000"),
        *("--cluster-require-full-coverage", "no"),
    )


def info_fields(info: Any) -> dict[str, str]:
    """Return the fields of an answer that redis-py may have parsed."""
    if isinstance(info, dict):
        return {str(name): str(value) for name, value in info.items()}
    text = info.decode() if isinstance(info, bytes) else info
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
