"""The manifest for KubeRay: what it names is there, and its fields are those of the operator's schema."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _get_labels_from_group_spec
from ray.scripts.scripts import start
from ray.serve.schema import ServeDeploySchema

from actors.runtime.spec import SPREAD_HERE
from cluster.settings import Settings

FILE = Path(__file__).parents[3] / "cluster" / "kuberay" / "rayservice.yaml"
CRD_FILE = os.environ.get("EASYPAY_TEST_KUBERAY_CRD")
"""A copy of the operator's `ray.io_rayservices.yaml`, where there is one."""

_FIELDS = {
    "": {
        "excludeHeadPodFromServeSvc", "rayClusterConfig", "rayClusterDeletionDelaySeconds", "serveConfigV2",
        "upgradeStrategy",
    },
    "rayClusterConfig": {
        "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
        "rayVersion", "workerGroupSpecs",
    },
    "rayClusterConfig.authOptions": {"enableK8sTokenAuth", "mode", "secretName"},
    "rayClusterConfig.autoscalerOptions": {"idleTimeoutSeconds", "resources", "upscalingMode", "version"},
    "rayClusterConfig.gcsFaultToleranceOptions": {"backend", "redisAddress", "redisPassword"},
    "rayClusterConfig.headGroupSpec": {"rayStartParams", "template"},
    "rayClusterConfig.workerGroupSpecs": {
        "groupName", "labels", "maxReplicas", "minReplicas", "rayStartParams", "replicas", "template",
    },
}  # fmt: skip
"""What the schema of KubeRay 1.5 knows, of what a manifest like this one uses."""


@pytest.fixture
def documents() -> list[dict[str, Any]]:
    """Read the file."""
    return list(yaml.safe_load_all(FILE.read_text()))


@pytest.fixture
def spec(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the service's specification."""
    (found,) = [each["spec"] for each in documents if each["kind"] == "RayService"]
    return dict(found)


def _at(spec: dict[str, Any], path: str) -> list[dict[str, Any]]:
    found: Any = spec
    for name in filter(None, path.split(".")):
        found = found[name]
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("path", _FIELDS)
def test_every_field_is_known(spec: dict[str, Any], path: str) -> None:
    """The operator drops a field that it does not know, and says nothing."""
    for part in _at(spec, path):
        assert set(part) <= _FIELDS[path]


if CRD_FILE is not None:

    def test_the_schema_takes_it(documents: list[dict[str, Any]]) -> None:
        """It is valid by the operator's own definition."""
        assert CRD_FILE is not None
        definition = yaml.safe_load(Path(CRD_FILE).read_text())
        (version,) = [each for each in definition["spec"]["versions"] if each["name"] == "v1"]
        jsonschema.validate(documents[0], version["schema"]["openAPIV3Schema"])


def test_serve_takes_its_configuration(spec: dict[str, Any]) -> None:
    """And what it imports is there, and can be called."""
    config = ServeDeploySchema.model_validate(yaml.safe_load(spec["serveConfigV2"]))
    (application,) = config.applications
    module, _, name = application.import_path.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert application.route_prefix == "/"


def test_ray_takes_every_parameter_of_its_start(spec: dict[str, Any]) -> None:
    """Each is an option of `ray start`."""
    known = {name.removeprefix("--") for parameter in start.params for name in parameter.opts}
    cluster = spec["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert set(group["rayStartParams"]) <= known


def test_workers_take_what_is_spread_and_the_head_does_not(spec: dict[str, Any]) -> None:
    """The label is the one that the actors ask for, where Ray's autoscaler reads it."""
    cluster = spec["rayClusterConfig"]
    (group,) = cluster["workerGroupSpecs"]
    assert _get_labels_from_group_spec(group, group["groupName"]) == SPREAD_HERE
    assert "labels" not in cluster["headGroupSpec"]


def test_every_container_has_the_environment_before_ray_starts(spec: dict[str, Any]) -> None:
    """Serve's ingress is hardened, and secrets come from the cluster's own, not from this file."""
    cluster = spec["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert group["template"]["metadata"]["annotations"]["ray.io/overwrite-container-cmd"] == "true"
        (container,) = group["template"]["spec"]["containers"]
        (command,) = container["args"]
        assert command.index("cluster.node_environment") < command.index("$KUBERAY_GEN_RAY_START_CMD")
        assert container["envFrom"] == [{"secretRef": {"name": "easypay-settings"}}]
        named = {each["name"] for each in container["env"]}
        assert named >= {"RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_THROUGHPUT_OPTIMIZED"}
        assert container["securityContext"]["runAsNonRoot"] is True
    assert cluster["authOptions"] == {"mode": "token"}


def test_workers_are_bounded_and_survive_the_loss_of_one(spec: dict[str, Any]) -> None:
    """The autoscaler keeps two at least, and a pod ends only after its replicas have."""
    (workers,) = spec["rayClusterConfig"]["workerGroupSpecs"]
    assert 2 <= workers["minReplicas"] <= workers["replicas"] < workers["maxReplicas"]
    assert workers["template"]["spec"]["terminationGracePeriodSeconds"] > 40


def test_settings_that_it_names_are_settings() -> None:
    """What the comment at the top says to put into `production.env` is read by the gateway."""
    comment = FILE.read_text().partition("apiVersion:")[0]
    named = set(re.findall(r"\b(?:[A-Z]+_)+[A-Z]+\b", comment))
    assert named
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_only_the_gateway_is_open_to_others(documents: list[dict[str, Any]]) -> None:
    """Of all ports one may be reached from anywhere; Ray's are for the cluster and its operator."""
    (policy,) = [each["spec"] for each in documents if each["kind"] == "NetworkPolicy"]
    assert [rule["ports"] for rule in policy["ingress"] if "from" not in rule] == [[{"port": 8000}]]
