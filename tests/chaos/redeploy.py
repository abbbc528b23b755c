"""Deploy the gateway again, on the Ray and with the settings that the environment names: `redeploy.py REPLICAS`.

With the path of a file in place of a number, Serve's autoscaling follows the number in that file; with `predictive` it
follows our policy, to one to three replicas that are to use a fiftieth of a processor each.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from cluster.composition import ACTOR_NAMESPACE, gateway_config
from cluster.data_dir import DataDir
from cluster.settings import SETTINGS_FILE_VARIABLE
from serve_app.autoscaling import predictive
from serve_app.deployment import APPLICATION, gateway
from tests.e2e.gateway import RunningGateway

PREDICTIVE = "predictive"
_WITHIN_S = 300


class FromFile:
    """Ask for the number of replicas that stands in a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """Read it anew each time."""
        return int(Path(self._path).read_text(encoding="utf-8")), {}


def redeploy(gateway: RunningGateway, replicas: int | str | Path) -> None:
    """Deploy anew and wait until it is done."""
    data = DataDir(gateway.data_dir)
    environment = {
        **os.environ,
        "RAY_ADDRESS": str(gateway.facts["ray_address"]),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(data.ray_token_file),
        SETTINGS_FILE_VARIABLE: str(data.settings_file),
    }
    command = [sys.executable, "-m", "tests.chaos.redeploy", str(replicas)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    assert done.returncode == 0, done.stderr


def _scaling(argument: str) -> int | AutoscalingConfig:
    if argument.isdigit():
        return int(argument)
    if argument == PREDICTIVE:
        return predictive(1, 3, utilisation=0.02)
    policy = AutoscalingPolicy(policy_function=FromFile, policy_kwargs={"path": argument})  # type: ignore[no-untyped-call]
    return AutoscalingConfig(min_replicas=1, max_replicas=3, upscale_delay_s=0, downscale_delay_s=0, policy=policy)


def main() -> None:
    """Deploy."""
    ray.init(namespace=ACTOR_NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)
    serve.run(gateway(gateway_config, replicas=_scaling(sys.argv[1])), name=APPLICATION, route_prefix="/")


if __name__ == "__main__":
    # By its own name: what Serve pickles is then found by it.
    from tests.chaos.redeploy import main as run

    run()
