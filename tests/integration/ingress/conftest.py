"""The real HAProxy on a configuration from Ray Serve's own template, before a small server in place of
replicas."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from cluster.ingress import launch
from cluster.ingress.environment import haproxy_binary
from cluster.ingress.policy import HardeningPolicy
from cluster.ingress.takeover import answering_pid, stand_in_socket
from tests.integration.ingress.client import WAIT_S, Reply, exchange
from tests.integration.ingress.replica import Replica
from tests.support.ports import free_port


@dataclass(slots=True)
class Ingress:
    """Run one hardened HAProxy and talk to it."""

    folder: Path
    replica: Replica
    port: int = field(default_factory=free_port)
    stats_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    manager: asyncio.subprocess.Process | None = None
    pid: int = 0

    @property
    def config(self) -> Path:
        """The file that Serve would write at each reload."""
        return self.folder / "haproxy.cfg"

    def write_config(self, *, host: str = "127.0.0.1", applications: bool = True) -> None:
        """Let Serve's own code write its configuration, as it is before hardening."""
        config = HAProxyConfig(
            socket_path=str(self.folder / "a.sock"),
            server_state_base=str(self.folder),
            server_state_file=str(self.folder / "server-state"),
            metrics_enabled=False,
            is_head=True,
            nbthread=1,
            maxconn=200,
            stats_port=self.stats_port,
            metrics_port=self.metrics_port,
            log_target="stderr format raw",
            http_options=HTTPOptions(host=host, port=self.port),
        )
        api = HAProxyApi(config, config_file_path=str(self.config))
        if applications:
            server = ServerConfig("replica", "127.0.0.1", self.replica.port)
            fallback = ServerConfig("fallback", "127.0.0.1", self.replica.port)
            backend = BackendConfig("http-easypay", "/", servers=[server], fallback_server=fallback, app_name="easypay")
            api.set_backend_configs({backend.name: backend})
        api._generate_config_file_internal()

    def policy(self, **changes: object) -> HardeningPolicy:
        """Make a policy with bounds short enough for a test."""
        values: dict[str, object] = {"request_timeout_s": 1, "server_timeout_s": 1, "keep_alive_timeout_s": 1}
        return HardeningPolicy(self.stats_port, self.metrics_port, **{**values, **changes})  # type: ignore[arg-type]

    async def start(self, policy: HardeningPolicy | None = None, *arguments: str) -> None:
        """Start HAProxy through the launcher, as the child of a process in the place of Serve's manager; wait
        for it."""
        command = [sys.executable, "-I", "-S", launch.__file__, str(haproxy_binary())]
        command += [(policy or self.policy()).to_json(), "-db", "-f", str(self.config), "-dR", *arguments]
        note = self.folder / "pid"
        # By a file, not a pipe: HAProxy would hold the pipe open beyond the end of its manager.
        ended = self.folder / "ended"
        for file in (note, ended):
            file.unlink(missing_ok=True)
        script = 'cd "$1"; shift; "$@" & echo $! >pid.new; mv pid.new pid; wait $!; : >ended; '
        script += "exec tail -f /dev/null"
        manager = ["/bin/sh", "-c", script, "manager", str(self.folder)]
        with (self.folder / "haproxy.log").open("wb") as log:
            self.manager = await asyncio.create_subprocess_exec(*manager, *command, stdout=log, stderr=log)
        async with asyncio.timeout(WAIT_S):
            while not note.exists() or answering_pid(self.admin) != int(note.read_text()):
                assert not ended.exists(), (self.folder / "haproxy.log").read_text()
                await asyncio.sleep(0.01)
        self.pid = int(note.read_text())

    async def stop(self) -> None:
        """End the manager, then HAProxy: so nothing stands in for it."""
        if self.manager is not None and self.manager.returncode is None:
            self.manager.kill()
            await self.manager.wait()
        for admin in (self.admin, stand_in_socket(self.admin)):
            pid = answering_pid(admin)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)

    @property
    def admin(self) -> Path:
        """The admin socket that Serve asks."""
        return self.folder / "a.sock"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection as a client."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def request(self, path: str = "/echo", headers: str = "", body: bytes = b"") -> Reply:
        """Send one POST on a connection of its own and read the answer."""
        reader, writer = await self.connect()
        try:
            return await exchange(reader, writer, path, headers, body)
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    """Give a running stand-in for a replica."""
    replica = Replica()
    await replica.start()
    yield replica
    await replica.stop()


@pytest.fixture
async def ingress(tmp_path: Path, replica: Replica) -> AsyncIterator[Ingress]:
    """Give an ingress with Serve's configuration written, not started yet."""
    # A folder of its own within the test's: the launcher looks for others beside it.
    folder = tmp_path / "node"
    folder.mkdir()
    ingress = Ingress(folder, replica)
    ingress.write_config()
    yield ingress
    await ingress.stop()
