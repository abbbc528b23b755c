"""Processes of Ray that measure and report, and the monitor that they report to."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import psutil
import ray

from actors.monitor.actor import MonitorAggregatorActor
from actors.monitor.client import MONITOR_NAME, MonitorClient, RelayClient
from actors.monitor.instruments import Instruments
from actors.monitor.merger import Merger
from actors.monitor.messages import Batch, Bundle
from actors.monitor.relay import relay_spec
from actors.monitor.reporter import REPORT_EVERY_S, Reporter
from actors.runtime.errors import ActorError
from actors.runtime.spec import ActorSpec, create
from tests.bench.monitor.rules import LATENCY, gateway_rules, work

NAMESPACE = "monitor-bench"
_HEARD_WITHIN_S = 120.0


@contextmanager
def monitor() -> Iterator[Any]:
    """Run a Ray with a monitor that has a gateway's rules, and give its handle; both end with the block."""
    folder = tempfile.mkdtemp(prefix="epm-", dir="/tmp")
    ray.init(
        num_cpus=2, include_dashboard=False, _temp_dir=folder, log_to_driver=False, configure_logging=False,
        namespace=NAMESPACE,
    )  # fmt: skip
    try:
        handle = create(ActorSpec(MONITOR_NAME, MonitorAggregatorActor, (gateway_rules,)), NAMESPACE)
        ray.get(handle.ensure_running.remote())
        yield handle
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def relay() -> tuple[str, Any]:
    """Start the relay of this node and return its name and its handle."""
    spec = relay_spec("node", ray.get_runtime_context().get_node_id(), NAMESPACE, lambda: None)
    handle = create(spec, NAMESPACE)
    ray.get(handle.ensure_running.remote())
    return spec.name, handle


def pid_of(handle: Any) -> int:
    """Return the process of an actor."""
    return int(ray.get(handle.__ray_call__.remote(lambda _: os.getpid())))


class Used:
    """The processor time of a process, from one look to the next."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.cores()

    def cores(self) -> float:
        """Return how many cores it used since the look before."""
        times, now = self._process.cpu_times(), time.monotonic()
        used, before = times.user + times.system, getattr(self, "_before", (0.0, 0.0))
        self._before = (used, now)
        return float((used - before[0]) / (now - before[1]))

    def memory_mb(self) -> float:
        """Return how much memory it holds, in MB."""
        return float(self._process.memory_info().rss / 1e6)


async def _tell(reporter: Reporter) -> None:
    """Tell all that was recorded, however long it takes a busy machine to hear it."""
    async with asyncio.timeout(_HEARD_WITHIN_S):
        while True:
            with suppress(ActorError):
                await reporter.once()
                return


async def _heard(client: MonitorClient, bundle: Bundle) -> bool:
    with suppress(ActorError):
        return (await client.report_bundle(bundle)).heard
    return False


class Recorder:
    """A process that records latencies and reports them while it does."""

    async def record(self, name: str, seed: int, count: int) -> np.ndarray[Any, Any]:
        """Record so many numbers over five orders of magnitude, and return them when all were heard."""
        numbers = np.random.default_rng(seed)
        values = numbers.lognormal(np.log(0.002 * (1 + seed)), 1.0 + 0.2 * seed, count)
        instruments = Instruments(name)
        record = instruments.distribution(LATENCY, route="/").record
        reporter = Reporter(instruments, MonitorClient(NAMESPACE))
        for at in range(0, count, 2000):
            for value in values[at : at + 2000].tolist():
                record(value)
            await _tell(reporter)
        return values


class Node:
    """A node of many processes, whose batches it adds up as a relay does and sends in one call."""

    def __init__(self, name: str, processes: int) -> None:
        self._name = name
        self._stopped = False
        self._chance = random.Random(name)
        self._processes = [Instruments(f"{name}-{number}", name) for number in range(processes)]

    async def stop(self) -> None:
        """Let it end."""
        self._stopped = True

    async def run(self) -> tuple[int, float]:
        """Report until it is stopped; return how many bundles were not heard, and how late the latest turn was in
        seconds. The batches of those are told again with the next turn, as processes do."""
        client, loop = MonitorClient(NAMESPACE), asyncio.get_running_loop()
        merger = Merger(self._name, self._name + str(self._chance.random()), time.monotonic())
        due, misses, late_s = loop.time(), 0, 0.0
        batches: list[Batch] = []
        while not self._stopped:
            for process in self._processes:
                work(process, self._chance.lognormvariate(-4, 1))
            batches = batches or [process.take() for process in self._processes]
            for batch in batches:
                merger.add(batch)
            if await _heard(client, merger.take(time.monotonic())):
                batches = []
            else:
                misses += 1
                batches = [batch._replace(age_s=batch.age_s + REPORT_EVERY_S) for batch in batches]
            late_s = max(late_s, loop.time() - due)
            due += REPORT_EVERY_S
            await asyncio.sleep(max(0.0, due - loop.time()))
        return misses, late_s

    async def report(self, relay: str) -> None:
        """Let each process report to the relay of that name by a call of its own, until it is stopped."""
        client = RelayClient(NAMESPACE, relay)
        reporters = [Reporter(process, client) for process in self._processes]
        for reporter in reporters:
            reporter.start()
            await asyncio.sleep(REPORT_EVERY_S / len(reporters))
        while not self._stopped:
            for process in self._processes:
                work(process, self._chance.lognormvariate(-4, 1))
            await asyncio.sleep(REPORT_EVERY_S)
        for reporter in reporters:
            await reporter.close()
