"""The configuration of a cluster, against Ray's own schema and against what the gateway relies on."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from actors.runtime.spec import SPREAD_HERE
from cluster.settings import Settings

_RAY_START = re.compile(r"(?:ray|python -m cluster\.control_store) start (.*?)(?:>|$)")
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


def test_workers_take_what_is_spread_and_the_head_does_not(config: dict[str, Any]) -> None:
    """The label is the one that the actors ask for."""
    nodes = config["available_node_types"]
    assert nodes["worker"]["labels"] == SPREAD_HERE
    assert "labels" not in nodes["head"]


def test_every_machine_has_the_environment_before_ray_starts(config: dict[str, Any]) -> None:
    """HAProxy mode, throughput mode and the token are in place wherever `ray start` runs."""
    (script,) = [command for command in config["setup_commands"] if "node.sh" in command]
    for line in ("RAY_SERVE_ENABLE_HA_PROXY=1", "RAY_SERVE_THROUGHPUT_OPTIMIZED=1", "RAY_AUTH_MODE=token"):
        assert line in script
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        (start,) = [command for command in commands if _RAY_START.search(command)]
        assert start.startswith(". ~/easypay/node.sh && ")


def test_the_environment_of_a_machine_can_be_evaluated_by_a_shell(tmp_path: Path) -> None:
    """What the program prints sets the variables that it means to set."""
    command = f'eval "$({sys.executable} -m cluster.node_environment {tmp_path}/run)" && env'
    result = subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, text=True, cwd=FILE.parent)
    variables = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert variables["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert Path(variables["RAY_SERVE_HAPROXY_BINARY_PATH"]).is_relative_to(tmp_path)


def test_ray_takes_every_option_of_its_start(config: dict[str, Any]) -> None:
    """Each is one that `ray start` of this version has."""
    known = {name for parameter in start.params for name in parameter.opts}
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        (found,) = [match for command in commands if (match := _RAY_START.search(command))]
        used = set(re.findall(r"--[\w-]+", found[1]))
        assert used
        assert used <= known


def test_what_commands_run_is_there(config: dict[str, Any]) -> None:
    """Modules can be found, targets are the Makefile's, and files that are sent are ours or named at the top."""
    text = FILE.read_text()
    modules = set(re.findall(r"python -m (cluster[\w.]*)", text))
    assert {"cluster.bootstrap", "cluster.control_store", "cluster.node_environment"} <= modules
    assert all(find_spec(module) for module in modules)
    targets = re.findall(r"&& make (\w+)", " ".join(config["setup_commands"]))
    makefile = (FILE.parent / "Makefile").read_text()
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    for source in config["file_mounts"].values():
        assert (FILE.parent / source).exists() or f"`{source.removeprefix('./')}`" in text


def test_settings_that_it_names_are_settings() -> None:
    """What the comment at the top says to put into `production.env` is read by the gateway."""
    comment = FILE.read_text().partition("cluster_name:")[0]
    named = set(re.findall(r"\b(?:[A-Z]+_)+[A-Z]+\b", comment))
    assert named >= {"DATABASE_URL", "API_KEY_PEPPER", "HTTP_HOST"}
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_nothing_but_the_gateway_is_reachable(config: dict[str, Any]) -> None:
    """Machines have private addresses, and one port for the load balancer; the dashboard listens on loopback."""
    assert config["provider"]["use_internal_ips"] is True
    (permission,) = config["provider"]["security_group"]["IpPermissions"]
    assert (permission["FromPort"], permission["ToPort"]) == (8000, 8000)
    assert all(ip_network(each["CidrIp"]).is_private for each in permission["IpRanges"])
    head = " ".join(config["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in head
    assert "ray-client-server-port" not in head


def test_the_control_store_survives_its_process(config: dict[str, Any]) -> None:
    """It is kept on disk, and by a command that stays to start it again."""
    (start,) = [command for command in config["head_start_ray_commands"] if "--head" in command]
    assert "RAY_gcs_storage=rocksdb" in start
    assert "RAY_gcs_storage_path=" in start
    assert "cluster.control_store start --head --block" in start
