"""A whole gateway for tests: started by its own command line, on free ports, with data of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

TEST_OPTIONS = ("--replicas", "2")
TRUSTED_HOP = "127.0.0.2"
TEST_ENVIRONMENT = {
    "RATE_LIMIT_PER_MINUTE": "0",
    "PROCESSOR_TIMEOUT_S": "4",
    "TRUSTED_PROXIES": f"{TRUSTED_HOP}/32",
    "WEBHOOK_ALLOW_LOOPBACK": "true",
}
"""No limit, a processor that is given up on rather soon, yet not before its slow answers, a proxy to be believed, and
receivers on this machine."""
START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that is ready to serve."""

    data_dir: Path
    facts: Mapping[str, Any]

    @property
    def url(self) -> str:
        """Where the merchants' API is."""
        return str(self.facts["url"])

    @property
    def api_key(self) -> str:
        """A key with every merchant scope, test mode."""
        return str(self.facts["api_key"])


def easypay(*arguments: str, timeout_s: float = 60.0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of this checkout to its end."""
    return subprocess.run(
        [sys.executable, "-m", "cluster.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **environment},
        check=False,
    )


def up(data_dir: Path, *arguments: str, **environment: str) -> RunningGateway:
    """Start a gateway in the background and wait until it serves."""
    started = easypay(
        "up",
        "--detach",
        "--json",
        "--data-dir",
        str(data_dir),
        *arguments,
        timeout_s=START_TIMEOUT_S,
        **environment,
    )
    assert started.returncode == 0, f"the gateway did not start:\n{started.stdout}\n{started.stderr}"
    return RunningGateway(data_dir, json.loads(started.stdout))


def down(data_dir: Path) -> None:
    """Stop the gateway of this data directory."""
    stopped = easypay("down", "--data-dir", str(data_dir), timeout_s=_STOP_TIMEOUT_S)
    assert stopped.returncode == 0, stopped.stderr


@contextmanager
def running_gateway(*arguments: str, **environment: str) -> Iterator[RunningGateway]:
    """Run a gateway with data of its own for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="easypay-test-") as folder:
        data_dir = Path(folder) / "data"
        try:
            yield up(data_dir, "--port", str(free_port()), *arguments, **environment)
        finally:
            down(data_dir)


def logged_incidents(data_dir: Path) -> str:
    """Return the errors that the gateway's processes logged as unforeseen: what to read when a test saw a 500."""
    lines = [
        line
        for log in data_dir.rglob("worker-*.[oe]*")
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if "unforeseen" in line or "did not start" in line
    ]
    return "\n".join(lines[:20])
