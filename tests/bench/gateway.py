"""The gateway under test: started by its own command line, or one that runs already."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tests.bench.failure import BenchFailed
from tests.support.ports import free_port

UP_TIMEOUT_S = 300
DOWN_TIMEOUT_S = 60
# One merchant's limit would end the run at 6,000 requests a minute: this one no run reaches, and it counts all the
# same. Everything else stays as it is by default.
ENVIRONMENT = {"RATE_LIMIT_PER_MINUTE": "6000000"}


class GatewayFailed(BenchFailed):
    """The gateway did not start."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Hold what `easypay up --json` prints about a gateway that is ready."""

    url: str
    api_key: str
    admin_key: str
    ray_address: str
    ray_token_file: str
    database_url: str
    pid: int
    data_dir: str

    @classmethod
    def from_json(cls, text: str) -> Gateway:
        """Take the fields that are needed here out of the object."""
        printed: dict[str, Any] = json.loads(text)
        return cls(**{field.name: printed[field.name] for field in fields(cls)})

    def ray_environment(self) -> dict[str, str]:
        """Return the environment in which a driver joins the gateway's Ray cluster."""
        return {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": self.ray_token_file,
            # The head listens on loopback alone; without this Ray replaces 127.0.0.1 by the machine's other address.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        }


@contextmanager
def started(replicas: int, settings: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """Start a gateway with settings of the environment in a temporary folder, and end it with all that it started."""
    # Short and directly under the temporary folder: the sockets that Ray makes below it have a limit of 107
    # bytes.
    folder = Path(tempfile.mkdtemp(prefix="epb-"))
    folder.chmod(0o755)
    data = folder / "data"
    try:
        command = [*easypay_command(), "up", "--detach", "--json", "--data-dir", str(data)]
        command += ["--port", str(free_port()), "--replicas", str(replicas)]
        environment = {**os.environ, **ENVIRONMENT, **(settings or {})}
        result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=UP_TIMEOUT_S)
        if result.returncode != 0:
            raise GatewayFailed(f"`{' '.join(command)}` ended with {result.returncode}")
        yield Gateway.from_json(result.stdout)
    finally:
        down = [*easypay_command(), "down", "--data-dir", str(data)]
        subprocess.run(down, stdout=sys.stderr, timeout=DOWN_TIMEOUT_S)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def attached(path: Path) -> Iterator[Gateway]:
    """Use a gateway that runs already, from the file that holds what `up --json` printed."""
    yield Gateway.from_json(path.read_text())


def easypay_command() -> list[str]:
    """Return the command of this very Python's installation, not of another on the PATH."""
    script = Path(sys.executable).with_name("easypay")
    return [str(script)] if script.exists() else [sys.executable, "-m", "cluster.cli"]
