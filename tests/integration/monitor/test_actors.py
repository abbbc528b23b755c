"""The monitor and a node's relay as real actors of a Ray on this machine."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ray

from actors.monitor.actor import MonitorAggregatorActor, log_alone
from actors.monitor.alerts import AlertRule, AlertState, AlertView
from actors.monitor.client import MONITOR_NAME, MonitorClient, RelayClient
from actors.monitor.instruments import Instruments
from actors.monitor.measures import Value, select
from actors.monitor.memory import FileMemory
from actors.monitor.processes import RELAY_FROM
from actors.monitor.relay import MonitorRelayActor, relay_spec
from actors.monitor.reporter import Reporter
from actors.monitor.route import Route
from actors.monitor.rules import Rules
from actors.monitor.series import series
from actors.runtime.errors import ActorError
from actors.runtime.spec import ActorSpec, create

pytestmark = [
    pytest.mark.ray,
]

NAMESPACE = "monitor-test"
_WITHIN_S = 60


def _rules() -> Rules:
    return Rules(alerts=(AlertRule("Full", Value(select("used_ratio")), 0.8, "{value:.0%}", for_s=0, keep_s=2),))


@pytest.fixture(scope="module")
def _folder() -> Iterator[Path]:
    """Run a Ray, the monitor and a relay, in a folder whose path is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="epm-", dir="/tmp")
    ray.init(num_cpus=2, include_dashboard=False, _temp_dir=folder, log_to_driver=False, configure_logging=False)
    memory = functools.partial(FileMemory, Path(folder) / "monitor.json")
    spec = ActorSpec(MONITOR_NAME, MonitorAggregatorActor, (_rules, log_alone, memory))
    try:
        for each in (spec, _relay("node")):
            assert ray.get(create(each, NAMESPACE).ensure_running.remote()) == each.code_version
        yield Path(folder)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _relay(node: str) -> ActorSpec:
    """Return what the relay of a node of this name is, which is on this one."""
    return relay_spec(node, ray.get_runtime_context().get_node_id(), NAMESPACE, lambda: None)


@pytest.fixture
def client(_folder: Path) -> MonitorClient:
    """Return a client of the monitor."""
    return MonitorClient(NAMESPACE)


async def _until(client: MonitorClient, name: str, total: float) -> float:
    """Wait until a counter is as high; a monitor that was killed may be away for longer than a call waits."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            with suppress(ActorError):
                found = (await client.series()).counters.get(series(name), 0)
                if found >= total:
                    return found
            await asyncio.sleep(0.05)


async def _until_state(client: MonitorClient, state: AlertState) -> AlertView:
    """Wait until the alert is in a state."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            for alert in (await client.alerts()).alerts:
                if alert.state is state:
                    return alert
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", ["direct", "relay"])
async def test_what_a_process_measures_arrives(client: MonitorClient, way: str) -> None:
    """Directly or by the node's relay; once, and with the process's name."""
    instruments = Instruments(f"p-{way}", "node")
    reporter = Reporter(instruments, client if way == "direct" else RelayClient(NAMESPACE, _relay("node").name))
    reporter.start()
    for _ in range(3):
        instruments.count(f"{way}_total", 2)
        instruments.record(f"{way}_seconds", 0.5)
        await asyncio.sleep(0.3)
    assert await _until(client, f"{way}_total", 6) == 6
    await reporter.close()
    assert (await client.series()).histograms[series(f"{way}_seconds")].count == 3
    assert f"p-{way}" in [view.process for view in (await client.overview()).processes]


async def test_a_monitor_that_is_killed_comes_back_and_nothing_is_lost(client: MonitorClient) -> None:
    """What was counted meanwhile is told then; an alert goes on under its id, and is delivered once; silences hold."""
    instruments = Instruments("p-killed", "node")
    instruments.gauge("used_ratio", 0.9)
    reporter = Reporter(instruments, client)
    reporter.start()
    alert = await _until_state(client, AlertState.FIRING)
    silence = await client.silence("Other", 600.0, "key_1", "known", (("pool", "a"),))
    async with asyncio.timeout(_WITHIN_S):
        while (await client.deliveries())["log"].delivered < 1:
            await asyncio.sleep(0.05)
    instruments.count("killed_total")
    await _until(client, "killed_total", 1)

    handle: Any = ray.get_actor(MONITOR_NAME, NAMESPACE)
    os.kill(ray.get(handle.__ray_call__.remote(lambda _: os.getpid())), signal.SIGKILL)
    for _ in range(20):
        instruments.count("killed_total")
        await asyncio.sleep(0.01)

    # Its own totals began anew, without what the one before had been told.
    assert await _until(client, "killed_total", 20) == 20
    again = await _until_state(client, AlertState.FIRING)
    assert (again.id, again.since) == (alert.id, alert.since)
    assert [each.id for each in (await client.alerts()).silences] == [silence.id]
    assert (await client.deliveries())["log"].delivered == 0
    assert await client.unsilence(silence.id)
    assert not await client.unsilence(silence.id)

    instruments.gauge("used_ratio", 0.1)
    assert (await _until_state(client, AlertState.RESOLVED)).id == alert.id
    await reporter.close()


class _Nodes:
    """Processes of two nodes, enough on one of them for a relay, which all count the same thing."""

    def __init__(self, client: MonitorClient, name: str) -> None:
        self.client, self.name = client, f"{name}_total"
        self.relay = _relay(name)
        nodes = [*[name] * RELAY_FROM, f"{name}-other"]
        self._processes = [Instruments(f"p-{name}-{number}", node) for number, node in enumerate(nodes)]
        self._routes = [Route(client, self._find) for _ in nodes]
        self._reporters = [Reporter(*each) for each in zip(self._processes, self._routes, strict=True)]
        self.counted = 0

    async def _find(self) -> RelayClient:
        await asyncio.to_thread(create, self.relay, NAMESPACE)
        relay = RelayClient(NAMESPACE, self.relay.name)
        await relay.ensure_running()
        return relay

    async def __aenter__(self) -> _Nodes:
        for reporter in self._reporters:
            reporter.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for reporter in self._reporters:
            await reporter.close()
        for route in self._routes:
            await route.close()

    async def until_relayed(self) -> None:
        """Count until the relay hands on."""
        async with asyncio.timeout(_WITHIN_S):
            while await asyncio.to_thread(_bundles, self.relay.name) < 3:
                await self.count(1)

    async def count(self, times: int) -> None:
        """Count in each process, with a little time between."""
        for _ in range(times):
            for process in self._processes:
                process.count(self.name)
                self.counted += 1
            await asyncio.sleep(0.02)


def _bundles(relay: str) -> int:
    """Return how many bundles a relay has handed on, 0 where there is none."""
    try:
        actor: Any = ray.get_actor(relay, NAMESPACE)
        return int(ray.get(actor.__ray_call__.remote(lambda relay: relay._merger._sequence), timeout=_WITHIN_S))
    except (ray.exceptions.RayError, ValueError):
        return 0


def _kill(name: str) -> None:
    handle: Any = ray.get_actor(name, NAMESPACE)
    os.kill(ray.get(handle.__ray_call__.remote(lambda _: os.getpid())), signal.SIGKILL)


async def test_a_relay_that_is_killed_loses_nothing_and_comes_back(client: MonitorClient) -> None:
    """Its processes tell the monitor meanwhile, and each count is counted once."""
    nodes = _Nodes(client, "relay_killed")
    async with nodes:
        await nodes.until_relayed()
        await asyncio.to_thread(_kill, nodes.relay.name)
        await nodes.count(30)
        await nodes.until_relayed()
        await _until(client, nodes.name, nodes.counted)
    assert await _until(client, nodes.name, nodes.counted) == nodes.counted


async def test_what_a_relay_was_told_while_the_monitor_was_away_is_not_lost(client: MonitorClient) -> None:
    """The processes have it still, and the next monitor hears it, once."""
    nodes = _Nodes(client, "monitor_killed")
    async with nodes:
        await nodes.until_relayed()
        await _until(client, nodes.name, nodes.counted)
        await asyncio.to_thread(_kill, MONITOR_NAME)
        before = nodes.counted
        await nodes.count(30)
        await _until(client, nodes.name, nodes.counted - before)
    assert await _until(client, nodes.name, nodes.counted - before) == nodes.counted - before


@pytest.mark.usefixtures("_folder")
async def test_a_relay_that_nobody_tells_anything_ends() -> None:
    """And is not started again, for its name is free: an actor keeps its node from being taken away."""
    spec = ActorSpec("idle-relay", MonitorRelayActor, ("node", NAMESPACE, lambda: None, 0.5))
    handle: Any = create(spec, NAMESPACE)
    await handle.ensure_running.remote()
    async with asyncio.timeout(_WITHIN_S):
        while await asyncio.to_thread(_is_there, spec.name):
            await asyncio.sleep(0.1)


def _is_there(name: str) -> bool:
    try:
        ray.get_actor(name, NAMESPACE)
    except ValueError:
        return False
    return True
