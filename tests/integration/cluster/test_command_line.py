"""`easypay up`, `status` and `down` as an operator types them, on a real Ray."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.data_dir import DataDir
from cluster.instance import marked_processes
from tests.support.ports import free_port

PROMISED = {
    "url",
    "api_key",
    "admin_key",
    "dashboard_url",
    "ray_address",
    "ray_token_file",
    "database_url",
    "redis_url",
    "pid",
}
# Stands in for the gateway: what matters here is everything around it.
BOOTSTRAP = """
import json, os, ray
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
print(json.dumps({"step": "joined Ray", "seconds": 0.1}))
print(json.dumps({"ready": {"api_key": "sk_test_1", "admin_key": "sk_test_2"}}), flush=True)
"""
BACK_S = 60.0


@dataclass
class Gateway:
    """One data directory, and the commands on it."""

    folder: Path
    port: int

    @property
    def data(self) -> DataDir:
        """The data directory."""
        return DataDir(self.folder)

    def run(self, command: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        words = [sys.executable, "-m", "cluster.cli", command, "--data-dir", str(self.folder), *options]
        return subprocess.run(
            words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=150, check=False
        )

    def up(self, *, bootstrap: str = BOOTSTRAP, **environment: str) -> subprocess.CompletedProcess[str]:
        """Start it detached."""
        command = f"{sys.executable} -c {shlex.quote(bootstrap)}"
        options = ("--detach", "--json", "--port", str(self.port), "--bootstrap", command)
        return self.run("up", *options, **environment)

    def status(self) -> dict[str, Any]:
        """Return what `status --json` prints."""
        summary: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return summary


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """Give a place for a gateway, and leave nothing of it behind."""
    folder = Path(tempfile.mkdtemp(prefix="ep-"))
    gateway = Gateway(folder / "data", free_port())
    try:
        yield gateway
    finally:
        gateway.run("down")
        shutil.rmtree(folder)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gateway_lives_through_kills_and_leaves_nothing_when_it_is_stopped(gateway: Gateway) -> None:
    """Start, refuse a second start, survive the death of Ray and of the launcher, keep ports and secrets, stop."""
    first = facts_of(gateway.up())
    assert first.keys() >= PROMISED
    assert Path(first["ray_token_file"]).stat().st_mode & 0o077 == 0
    assert listens_only_locally(first["dashboard_url"])

    second = gateway.up()
    assert second.returncode == 1
    assert f"process {first['pid']}" in second.stderr

    head = gateway.status()["children"]["ray"]["pid"]
    os.kill(head, signal.SIGKILL)
    wait_until_back(gateway, "ray", head)

    os.kill(first["pid"], signal.SIGKILL)
    assert gateway.run("status").returncode == 3
    again = facts_of(gateway.up())
    assert again["pid"] != first["pid"]
    kept = PROMISED - {"pid"}
    assert {name: again[name] for name in kept} == {name: first[name] for name in kept}

    assert gateway.run("down").returncode == 0
    assert marked_processes(gateway.data.instance) == []
    assert not any(str(gateway.folder) in " ".join(cmdline(process)) for process in psutil.process_iter())
    assert gateway.run("down").returncode == 0


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_bootstrap_that_fails_ends_everything_and_its_words_are_shown(gateway: Gateway) -> None:
    """A start is whole or not at all; the message names the part and its log."""
    result = gateway.up(bootstrap="raise SystemExit('the schema is from the future')")
    assert result.returncode != 0
    assert result.stdout == ""
    assert "Gateway did not start" in result.stderr
    assert "the schema is from the future" in result.stderr
    assert "bootstrap.log" in result.stderr
    assert marked_processes(gateway.data.instance) == []


def test_a_port_that_is_taken_is_said_before_anything_starts(gateway: Gateway) -> None:
    """The message names the user of the port and one that is free."""
    with socket.create_server(("127.0.0.1", gateway.port)):
        result = gateway.up()
    assert result.returncode == 1
    assert f"port {gateway.port} is taken by process {os.getpid()}" in result.stderr
    assert "--port" in result.stderr
    assert not gateway.data.postgres.exists()


def test_a_wrong_setting_stops_the_start_with_its_name(gateway: Gateway) -> None:
    """Nothing is started on settings that are not understood."""
    result = gateway.up(MAX_QUEUE_SIZE="lots")
    assert result.returncode == 1
    assert "MAX_QUEUE_SIZE" in result.stderr
    assert not gateway.data.postgres.exists()


def test_there_is_nothing_to_stop_or_show_where_nothing_runs(gateway: Gateway) -> None:
    """`down` is content, `status` says so by its exit status too."""
    assert gateway.run("down").returncode == 0
    assert gateway.run("status").returncode == 3
    assert gateway.status()["running"] is False
    assert not gateway.folder.exists()


def facts_of(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the one JSON object that a start printed."""
    assert result.returncode == 0, result.stderr
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def wait_until_back(gateway: Gateway, child: str, killed: int) -> None:
    """Return when a child that was killed is ready again as another process, and the gateway with it."""
    give_up = time.monotonic() + BACK_S
    while time.monotonic() < give_up:
        children = gateway.status()["children"]
        back = children[child]["phase"] == "ready" and children[child]["pid"] != killed
        if back and children["gateway"]["phase"] == "down":
            return
    raise AssertionError(f"{child} did not come back: {gateway.status()}")


def listens_only_locally(url: str) -> bool:
    """Tell whether the port of a URL is bound to loopback alone."""
    port = int(url.rpartition(":")[2])
    listeners = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    addresses = {each.laddr.ip for each in listeners if each.laddr and each.laddr.port == port}
    return addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def cmdline(process: psutil.Process) -> list[str]:
    """Return a process's command line; none where it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
