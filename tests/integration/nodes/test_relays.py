"""Processes of several nodes report through relays, and a node that is gone leaves none behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from typing import Any

import pytest
import ray

from actors.monitor.actor import MonitorAggregatorActor
from actors.monitor.client import MONITOR_NAME, MonitorClient, relay_name
from actors.monitor.messages import Batch, Reply
from actors.monitor.processes import RELAY_FROM
from actors.monitor.relay import MonitorRelayActor
from actors.monitor.reporter import Reporter
from actors.monitor.series import series
from actors.runtime.spec import ActorSpec, create
from serve_app.monitoring.process import monitor_route, new_instruments, node_name
from tests.support.ray_nodes import ray_nodes

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.chaos,
    pytest.mark.timeout(600),
]

_WITHIN_S = 90.0
_COUNTED = "relays_total"


def _nothing() -> None:
    """Set nothing up."""


class DistantMonitor(MonitorAggregatorActor):
    """A monitor whose socket nobody hears of: all nodes are on this machine, where every process would use it."""

    async def report(self, batch: Batch) -> Reply:
        """Take a batch."""
        return (await super().report(batch))._replace(inlet="")


class Process:
    """A process that counts and reports."""

    def __init__(self, _version: str, namespace: str) -> None:
        """Take the version of the code as actors of ours do."""
        self._namespace = namespace
        self._reporter: Reporter | None = None

    async def start(self) -> str:
        """Report from now on, and return the node's name."""
        self._instruments = new_instruments("relayed")
        self._reporter = Reporter(self._instruments, monitor_route(self._namespace, _nothing))
        self._reporter.start()
        return node_name()

    async def count(self, times: int) -> None:
        """Count, with a little time between."""
        for _ in range(times):
            self._instruments.count(_COUNTED)
            await asyncio.sleep(0.02)


async def _until(client: MonitorClient, total: float) -> float:
    async with asyncio.timeout(_WITHIN_S):
        while (found := (await client.series()).counters.get(series(_COUNTED), 0)) < total:
            await asyncio.sleep(0.1)
    return found


def _relay(name: str, namespace: str) -> tuple[str, int, int] | None:
    """Return the node and the process of a relay, and how many bundles it handed on; None where there is none."""
    try:
        actor: Any = ray.get_actor(name, namespace)
        what = actor.__ray_call__.remote(lambda relay: (node_name(), os.getpid(), relay._merger._sequence))
        found: tuple[str, int, int] = ray.get(what, timeout=5)
    except (ray.exceptions.RayError, ValueError):
        return None
    return found


def _until_relay(name: str, namespace: str) -> tuple[str, int]:
    """Wait until a relay hands on, and return where it is."""
    end = time.monotonic() + _WITHIN_S
    while time.monotonic() < end:
        found = _relay(name, namespace)
        if found is not None and found[2] >= 3:
            return found[:2]
        time.sleep(0.2)
    pytest.fail(f"no relay {name} within {_WITHIN_S} s")


def _until_gone(name: str, namespace: str) -> None:
    """Wait until nobody has the name."""
    end = time.monotonic() + _WITHIN_S
    while time.monotonic() < end:
        try:
            ray.get_actor(name, namespace)
        except ValueError:
            return
        time.sleep(0.2)
    pytest.fail(f"{name} is still there after {_WITHIN_S} s")


def test_processes_of_another_node_report_through_its_relay() -> None:
    """Each count once, though the relay is killed; and with the node goes its relay, for good."""
    namespace = f"nodes-{uuid.uuid4().hex[:8]}"
    version = ActorSpec("", MonitorRelayActor).code_version
    with ray_nodes(namespace, workers=1, cpus=2) as nodes:
        head, (worker,) = nodes.head_node.node_id, nodes.worker_nodes
        create(ActorSpec(MONITOR_NAME, DistantMonitor, node=head), namespace)
        where = [head, *[worker.node_id] * RELAY_FROM]
        specs = [ActorSpec(f"process-{number}", Process, (namespace,), node=node) for number, node in enumerate(where)]
        processes = [create(spec, namespace) for spec in specs]
        alone, node, *_ = ray.get([process.start.remote() for process in processes], timeout=_WITHIN_S)
        name = relay_name(node, version)
        on, pid = _until_relay(name, namespace)
        assert on == node

        counting = [process.count.remote(100) for process in processes]
        os.kill(pid, signal.SIGKILL)
        ray.get(counting, timeout=_WITHIN_S)
        assert _until_relay(name, namespace)[1] != pid
        client = MonitorClient(namespace)
        assert asyncio.run(_until(client, 100 * len(processes))) == 100 * len(processes)
        # The few of the head tell the monitor themselves.
        assert _relay(relay_name(alone, version), namespace) is None

        nodes.remove_node(worker, allow_graceful=False)
        _until_gone(name, namespace)
        ray.get(processes[0].count.remote(1), timeout=_WITHIN_S)
        assert asyncio.run(_until(MonitorClient(namespace), 100 * len(processes) + 1)) == 100 * len(processes) + 1
