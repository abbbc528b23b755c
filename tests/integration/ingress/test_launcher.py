"""The executable that Serve runs as HAProxy."""

from __future__ import annotations

import asyncio
import socket
import stat
import sys
from pathlib import Path

import pytest

from cluster.ingress import IngressOptions, IngressPorts, environment, launch
from cluster.ingress.environment import haproxy_binary
from cluster.ingress.takeover import answering_pid
from tests.integration.ingress.conftest import Ingress


def _listens(port: int, address: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address, port)) == 0


def _command_line(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


async def test_statistics_and_metrics_are_on_loopback_alone(ingress: Ingress) -> None:
    """Only the public port listens on other addresses than 127.0.0.1."""
    await ingress.start(ingress.policy(listen="0.0.0.0"))
    for port in (ingress.stats_port, ingress.metrics_port):
        assert _listens(port, "127.0.0.1")
        assert not _listens(port, "127.0.0.2")
    assert _listens(ingress.port, "127.0.0.2")


async def test_the_process_is_haproxy_itself(ingress: Ingress) -> None:
    """The process that Serve started answers on the admin socket under its own id, with the configuration's
    path."""
    await ingress.start()
    assert answering_pid(ingress.admin) == ingress.pid
    words = _command_line(ingress.pid)
    assert words[0].endswith(b"haproxy")
    assert str(ingress.config).encode() in words


async def test_the_admin_socket_is_ours(ingress: Ingress) -> None:
    """Nobody else may open the admin socket or the folder that it lies in."""
    await ingress.start()
    assert stat.S_IMODE(ingress.admin.stat().st_mode) == 0o600
    assert stat.S_IMODE(ingress.folder.stat().st_mode) == 0o700


async def test_an_unknown_configuration_is_not_served(ingress: Ingress) -> None:
    """Where the template is not the known one, nothing listens and the message says why."""
    text = ingress.config.read_text().replace("retry-on conn-failure", "retry-on all-retryable-errors")
    ingress.config.write_text(text)
    with pytest.raises(AssertionError, match="cannot be hardened"):
        await ingress.start()


async def test_serve_can_start_what_the_environment_names(ingress: Ingress, tmp_path: Path) -> None:
    """The launcher of a run folder with spaces in its path starts a hardened HAProxy."""
    ports = IngressPorts(stats=ingress.stats_port, metrics=ingress.metrics_port)
    names = environment(tmp_path / "a run", ports, IngressOptions(listen="127.0.0.1"))
    launcher = names["RAY_SERVE_HAPROXY_BINARY_PATH"]
    sockets = Path(names["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent
    if tmp_path not in sockets.parents:
        sockets.rmdir()
    process = await asyncio.create_subprocess_exec(
        launcher,
        "-c",
        "-f",
        str(ingress.config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    assert b"Configuration file is valid" in output
    assert ingress.config.read_text().startswith("# Hardened by EasyPay")


async def test_other_calls_go_through(ingress: Ingress) -> None:
    """A call without a configuration, such as for the version, is HAProxy's own."""
    command = [
        sys.executable,
        "-I",
        "-S",
        launch.__file__,
        str(haproxy_binary()),
        ingress.policy().to_json(),
        "-v",
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.startswith(b"HAProxy version")
