"""Ray's head on this machine, as a child of the launcher: `ray start --head --block` on ports and folders of its own.

Beside another Ray, another Redis on 6379 and another gateway it disturbs nobody: every port that has a fixed default is
ours, everything listens on loopback where Ray lets us choose, and a token guards every call.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.data_dir import DataDir
from cluster.ingress import IngressOptions, IngressPorts, environment
from cluster.instance import end_marked
from cluster.ports import PortBook
from cluster.process_supervision import ChildPlan
from cluster.settings import SETTINGS_FILE_VARIABLE, Settings
from cluster.spawning import Launch
from serve_app.admission.admission import requests_max

NAME = "ray"
HOST = "127.0.0.1"
_REPLICA_PORTS = 100
# Messages between actors travel inline; only a job's large objects lie in the store, and those spill to disk.
_OBJECT_STORE_BYTES = 200 * 1024 * 1024
_SESSIONS_KEPT = 3
# "/t/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.1"
_SOCKET_BYTES = 70
_READY_LINE = b"Ray runtime started."


@dataclass(frozen=True, slots=True)
class RayPorts:
    """Name the ports of Ray's own servers. Those without a fixed default are left to Ray."""

    control_store: int
    dashboard: int
    dashboard_agent: int
    metrics: int
    dashboard_metrics: int

    @classmethod
    def choose(cls, book: PortBook) -> RayPorts:
        """Take all of them from the port book."""
        return cls(**{name: book.port(f"ray_{name}") for name in cls.__dataclass_fields__})


def choose_ingress_ports(book: PortBook) -> IngressPorts:
    """Take the ingress' block from the port book."""
    return IngressPorts.starting_at(book.port("ingress", block=_REPLICA_PORTS + 3), replicas=_REPLICA_PORTS)


class RayHead:
    """Start Ray's head, and end all that it had started when it dies."""

    # A stop sends SIGTERM to each of Ray's processes and waits for them.
    plan = ChildPlan(NAME, start_s=120.0, stop_s=20.0)

    def __init__(
        self,
        data: DataDir,
        settings: Settings,
        *,
        ports: RayPorts,
        ingress_ports: IngressPorts,
        marks: Mapping[str, str],
    ) -> None:
        self._data = data
        self._settings = settings
        self._ports = ports
        self._ingress_ports = ingress_ports
        self._marks = marks
        self._log = data.logs / "ray.log"
        self._log_start = 0
        # One level down, because Ray opens its folder to all users.
        self.folder = data.short_folder("ray", below=_SOCKET_BYTES) / "t"

    @property
    def _control_store(self) -> Path:
        return self._data.run / "control_store"

    @property
    def address(self) -> str:
        """Where a driver joins.

        The head listens on loopback alone, and `ray.init` replaces 127.0.0.1 and localhost by the machine's other
        address. The same address in its IPv6 form it leaves as it is.
        """
        return f"[::ffff:{HOST}]:{self._ports.control_store}"

    @property
    def dashboard_url(self) -> str:
        """Where the dashboard answers, to whoever has the token."""
        return f"http://{HOST}:{self._ports.dashboard}"

    @property
    def ingress_sockets(self) -> Path:
        """The folder of HAProxy's sockets."""
        return Path(self._environment()["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent

    def driver_environment(self) -> dict[str, str]:
        """Return the whole environment of a program that joins this Ray as a driver."""
        return {**self._environment(), "RAY_ADDRESS": self.address}

    async def prepare(self) -> Launch:
        """End what an earlier head left behind and thin out its old logs."""
        await asyncio.to_thread(self._end_leftovers)
        self._remove_old_sessions()
        # It outlives the control store, not Ray: actors of an earlier run have no process any more.
        shutil.rmtree(self._control_store, ignore_errors=True)
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        return Launch(
            command=self._command(),
            environment={**self._environment(), **self._marks},
            log=self._log,
            folder=self._data.path,
            stop_signal=signal.SIGTERM,
            # Ray itself would ask one process after the other, 5 s in all.
            stop_group=True,
        )

    async def answers(self) -> bool:
        """Tell whether Ray has said that all its processes are up."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return _READY_LINE in log.read()

    async def clean(self) -> None:
        """End workers, HAProxy and whatever else outlived the head."""
        await asyncio.to_thread(self._end_leftovers)

    def _end_leftovers(self) -> None:
        # A replica that gets SIGTERM waits for its requests, but without Ray around it can answer none of them.
        end_marked(self._data.instance, NAME, term_s=1.0)

    def _command(self) -> list[str]:
        ports = self._ports
        options = {
            "node-ip-address": HOST,
            "port": ports.control_store,
            "dashboard-host": HOST,
            "dashboard-port": ports.dashboard,
            "dashboard-agent-listen-port": ports.dashboard_agent,
            "metrics-export-port": ports.metrics,
            "temp-dir": self.folder,
            "num-cpus": logical_cpus(os.cpu_count() or 1, self._settings.most_replicas),
            "object-store-memory": _OBJECT_STORE_BYTES,
            "include-dashboard": "true",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        ray = [sys.executable, "-m", "cluster.control_store"]
        # The monitor is that of Ray's autoscaler, which has no machine to add here.
        return [*ray, "start", "--head", "--block", "--disable-usage-stats", "--no-monitor", *arguments]

    def _environment(self) -> dict[str, str]:
        return {
            **_inherited(),
            **environment(self._data.run / "ingress", self._ingress_ports, ingress_options(self._settings)),
            **_BEHAVIOUR,
            # A job's `python` is the first on this path.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "RAY_AUTH_TOKEN_PATH": str(self._data.ray_token_file),
            "DASHBOARD_METRIC_PORT": str(self._ports.dashboard_metrics),
            SETTINGS_FILE_VARIABLE: str(self._data.settings_file),
            # On disk, so that a control store that is started again knows of every node and actor.
            "RAY_gcs_storage": "rocksdb",
            "RAY_gcs_storage_path": str(self._control_store),
        }

    def _remove_old_sessions(self) -> None:
        sessions = sorted(path for path in self.folder.glob("session_*") if not path.is_symlink())
        for session in sessions[: -_SESSIONS_KEPT or None]:
            shutil.rmtree(session, ignore_errors=True)


_BEHAVIOUR = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's 15 protects its own processes from greedy tasks. Here workers are the gateway, and beside anything else
    # that is busy they would get a thirtieth of its share. Alone on the machine no difference could be measured.
    "RAY_worker_niceness": "0",
    # Waits for the node to be drained, which a head never is. Payments in flight are concluded by the resolver.
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
}


def _inherited() -> dict[str, str]:
    # Ray's variables of whoever called us may belong to another cluster. OpenTelemetry's are in our settings, and Ray's
    # own use of it, which sends metrics to itself, would take them for its own, keys of the collector included.
    foreign = re.compile(r"RAY_|OTEL_|DASHBOARD_METRIC_PORT$|AUTOSCALER_METRIC_PORT$")
    return {name: value for name, value in os.environ.items() if not foreign.match(name)}


def ingress_options(settings: Settings) -> IngressOptions:
    """Return how the public side of the ingress differs from loopback."""
    certificate = settings.tls_certificate
    return IngressOptions(
        # Serve itself listens on loopback; only HAProxy's public side may be opened.
        listen=settings.http_host if settings.http_host != HOST else None,
        trusted_proxies=settings.trusted_proxies,
        certificate=str(certificate.absolute()) if certificate else None,
        replica_requests_max=requests_max(settings.max_queue_size, settings.max_workers),
    )


def logical_cpus(cores: int, replicas: int) -> int:
    """Return how many processors Ray is told that it has, where there are so many replicas at most.

    They are Ray's unit of admission, nothing is bound to a core. Replicas and actors mostly wait, so there are more
    than cores: enough that a job always finds some free beside them, and a redeploy room for the replicas that serve
    before those that they replace are gone.
    """
    return max(8, 4 * cores, 2 * replicas)
