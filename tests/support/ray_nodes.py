"""A Ray of several nodes on this machine, which ends what it started and nothing else.

Ray's own clusters for tests write the address of the last one into a folder that all of the machine share, and
`AutoscalingCluster` runs `ray stop`, which ends every Ray there is. So each gets a folder and a port of its own, and
the processes are found by a mark that they inherit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.cluster_utils import Cluster
from ray.util import get_node_ip_address

from cluster.instance import end_marked, marks
from tests.support.ports import free_port

_START_S = 180
_HEAD = "ray.head.default"
_HEAD_TYPE = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
_AUTOSCALING = {
    "cluster_name": "easypay-test",
    # Nodes are processes of this machine. By its module, for what Ray reads by the name of its own provider for tests
    # is not in its wheel. All have the address of this machine, and nothing is installed on them over SSH.
    "provider": {
        "type": "external",
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "launch_multiple": True,
    },
    "max_workers": 4,
    "head_node_type": _HEAD,
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 5,
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}
_SECOND = {"RAY_enable_autoscaler_v2": "1", "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID}
_SCRIPT = "from ray.scripts.scripts import main; main()"


@contextmanager
def ray_nodes(namespace: str, *, workers: int, cpus: int, labels: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Run a head that takes no work, and nodes with so many processors and these labels, with a driver on the head.

    What it yields is Ray's `Cluster`, whose own types say that it has no nodes.
    """
    with _own_folder() as folder:
        head = {"num_cpus": 0, "gcs_server_port": free_port(), "include_dashboard": False, "temp_dir": folder}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(workers):
                cluster.add_node(num_cpus=cpus, temp_dir=folder, labels=dict(labels or {}))
            ray.init(cluster.address, namespace=namespace, log_to_driver=False, configure_logging=False)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def growing_ray(namespace: str, *, cpus: int, workers_max: int, version: int) -> Iterator[None]:
    """Run a head that takes no work, and Ray's autoscaler, which adds nodes with so many processors each.

    ``version`` 1 is the one of `ray up`, 2 that of KubeRay.
    """
    worker = {"resources": {"CPU": cpus}, "node_config": {}, "min_workers": 0, "max_workers": workers_max}
    with _own_folder() as folder:
        config = {**_AUTOSCALING, "available_node_types": {"worker": worker, _HEAD: _HEAD_TYPE}}
        instance = f"test-{uuid.uuid4().hex}"
        environment = {**marks(instance, "ray"), **(_SECOND if version == 2 else {})}
        address = _start_head(config, Path(folder), environment)
        try:
            ray.init(address, namespace=namespace, log_to_driver=False, configure_logging=False)
            yield
        finally:
            ray.shutdown()
            end_marked(instance, term_s=1.0)


def _start_head(config: Mapping[str, Any], folder: Path, mark: Mapping[str, str]) -> str:
    port, file = free_port(), folder / "autoscaling.json"
    # Else nodes look for the head at Ray's usual port.
    provider = {**config["provider"], "gcs_address": f"{get_node_ip_address()}:{port}"}  # type: ignore[no-untyped-call]
    file.write_text(json.dumps({**config, "provider": provider}), encoding="utf-8")
    options = {
        "port": port,
        "num-cpus": 0,
        "autoscaling-config": file,
        "temp-dir": folder,
        "include-dashboard": "false",
        "dashboard-agent-listen-port": free_port(),
        "ray-client-server-port": free_port(),
    }
    command = [sys.executable, "-c", _SCRIPT, "start", "--head", "--disable-usage-stats"]
    environment = {**os.environ, **mark, "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    # Else a token that lies in the user's folder would be asked for.
    environment["RAY_AUTH_MODE"] = "disabled"
    started = subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in options.items())],
        env=environment, capture_output=True, text=True, timeout=_START_S, check=False,
    )  # fmt: skip
    assert started.returncode == 0, started.stdout + started.stderr
    return f"127.0.0.1:{port}"


@contextmanager
def _own_folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="epn-", dir="/tmp")
    try:
        (Path(folder) / "ray").mkdir()
        with patch.dict(os.environ, {"RAY_TMPDIR": folder, "RAY_raylet_start_wait_time_s": "180"}):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
