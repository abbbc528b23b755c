"""The configuration of a cluster, against Ray's own schema and against what the gateway relies on."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FILE = Path(__file__).parents[3] / "ray_cluster.yaml"


@pytest.fixture
def config() -> dict[str, Any]:
    """Read the file."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    """It passes the checks that `ray up` makes before it starts a machine."""
    validate_config(prepare_config(copy.deepcopy(config)))


def test_the_check_would_notice_a_mistake(config: dict[str, Any]) -> None:
    """A misspelt field does not pass, so the test above says something."""
    config["max_wrokers"] = 3
    with pytest.raises(jsonschema.ValidationError, match="max_wrokers"):
        validate_config(prepare_config(config))


def test_workers_are_bounded_and_survive_the_loss_of_one(config: dict[str, Any]) -> None:
    """The autoscaler stays between two workers and the cluster's own bound."""
    worker = config["available_node_types"]["worker"]
    assert 2 <= worker["min_workers"] < worker["max_workers"] <= config["max_workers"]


def test_every_machine_has_the_environment_before_ray_starts(config: dict[str, Any]) -> None:
    """HAProxy mode, throughput mode and the token are in place wherever `ray start` runs."""
    (script,) = [command for command in config["setup_commands"] if "node.sh" in command]
    for line in ("RAY_SERVE_ENABLE_HA_PROXY=1", "RAY_SERVE_THROUGHPUT_OPTIMIZED=1", "RAY_AUTH_MODE=token"):
        assert line in script
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        (start,) = [command for command in commands if "ray start" in command]
        assert start.startswith(". ~/easypay/node.sh && ")


def test_the_environment_of_a_machine_can_be_evaluated_by_a_shell(tmp_path: Path) -> None:
    """What the program prints sets the variables that it means to set."""
    command = f'eval "$({sys.executable} -m cluster.node_environment {tmp_path}/run)" && env'
    result = subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, text=True, cwd=FILE.parent)
    variables = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert variables["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert Path(variables["RAY_SERVE_HAPROXY_BINARY_PATH"]).is_relative_to(tmp_path)
