"""Measure the monitor: `python -m tests.bench.monitor [accuracy|cost|relay]... [--seconds 30] [--json]`.

- accuracy: 1,000,000 numbers recorded by 4 processes and merged by the actor, against their exact quantiles.
- cost: 1,000 processes report every 250 ms; 8 processes of Ray each add up those of a node and send them by real calls,
  while a page asks for the overview each second and a scrape comes every five. How many cores the monitor uses.
- relay: 50 processes of one node each call a real relay four times a second. How many cores that uses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from contextlib import suppress
from typing import Any

import numpy as np
import ray
from rich.console import Console

from actors.monitor.client import MonitorClient
from actors.monitor.reporter import REPORT_EVERY_S
from actors.monitor.series import series
from actors.monitor.store import REPORTS
from actors.runtime.errors import ActorError
from actors.runtime.histogram import RELATIVE_ERROR
from tests.bench.monitor.processes import NAMESPACE, Node, Recorder, Used, monitor, pid_of, relay
from tests.bench.monitor.rules import LATENCY

VALUES, RECORDERS = 1_000_000, 4
PROCESSES, NODES = 1000, 8
RELAYED = 50
PARTS = (0.5, 0.9, 0.95, 0.99, 0.999, 0.9999)
CORES_MAX = 0.5
_HEARD_WITHIN_S = 180.0
_remote = ray.remote(num_cpus=0)


def accuracy() -> dict[str, Any]:
    """Compare the quantiles of the monitor with the exact ones."""
    with monitor():
        recorders: list[Any] = [_remote(Recorder).remote() for _ in range(RECORDERS)]
        each = VALUES // RECORDERS
        parts = ray.get([recorder.record.remote(f"p{seed}", seed, each) for seed, recorder in enumerate(recorders)])
        totals = asyncio.run(MonitorClient(NAMESPACE).series())
    values = np.sort(np.concatenate(parts))
    histogram = totals.histograms[series(LATENCY, route="/")]
    assert histogram.count == VALUES, f"{histogram.count} of {VALUES} were counted"
    rows = {}
    for part in PARTS:
        exact, found = float(values[math.floor(part * (VALUES - 1))]), histogram.quantile(part)
        assert found is not None
        rows[str(part)] = {"exact_s": exact, "found_s": found, "error": abs(found - exact) / exact}
    worst = max(row["error"] for row in rows.values())
    return {"quantiles": rows, "error_max": worst, "bound": RELATIVE_ERROR, "holds": worst <= RELATIVE_ERROR}


def cost(seconds: float) -> dict[str, Any]:
    """Measure what the monitor uses while 1,000 processes report."""
    with monitor() as handle:
        nodes: list[Any] = [_remote(Node).remote(f"node-{number}", PROCESSES // NODES) for number in range(NODES)]
        running = [node.run.remote() for node in nodes]
        client, used = MonitorClient(NAMESPACE), Used(pid_of(handle))
        asyncio.run(_until_heard(client, PROCESSES))
        before, begun = asyncio.run(client.series()), time.monotonic()
        used.cores()
        processes = asyncio.run(_watched(client, seconds))
        cores, memory_mb, took_s = used.cores(), used.memory_mb(), time.monotonic() - begun
        after = asyncio.run(client.series())
        ray.get([node.stop.remote() for node in nodes])
        told = ray.get(running)
    reports, wanted = after.counters[series(REPORTS)] - before.counters[series(REPORTS)], PROCESSES / REPORT_EVERY_S
    # Where the machine was too busy for all reports to be sent, what was used is for fewer than there should be.
    cores_at_wanted = cores * max(1.0, wanted * took_s / reports)
    return {
        "processes": processes,
        "reports_per_s": reports / took_s,
        "wanted_per_s": wanted,
        "seconds": took_s,
        "series": sum(map(len, after)),
        "calls_without_answer": sum(misses for misses, _ in told),
        "latest_turn_s": max(late_s for _, late_s in told),
        "cores": cores,
        "cores_at_wanted": cores_at_wanted,
        "memory_mb": memory_mb,
        "holds": cores_at_wanted < CORES_MAX and processes == PROCESSES,
    }


def relayed(seconds: float) -> dict[str, Any]:
    """Measure what a relay uses while the processes of a node report to it."""
    with monitor():
        name, handle = relay()
        node: Any = _remote(Node).remote("node", RELAYED)
        running, client = node.report.remote(name), MonitorClient(NAMESPACE)
        asyncio.run(_until_heard(client, RELAYED))
        used, before = Used(pid_of(handle)), asyncio.run(client.series())
        begun, processes = time.monotonic(), asyncio.run(_watched(client, seconds))
        cores, after, took_s = used.cores(), asyncio.run(client.series()), time.monotonic() - begun
        ray.get(node.stop.remote())
        ray.get(running)
    reports_per_s = (after.counters[series(REPORTS)] - before.counters[series(REPORTS)]) / took_s
    return {
        "processes": processes,
        "reports_per_s": reports_per_s,
        "wanted_per_s": RELAYED / REPORT_EVERY_S,
        "cores": cores,
        "us_per_report": cores / reports_per_s * 1e6,
    }


async def _until_heard(client: MonitorClient, processes: int) -> None:
    """Wait until so many processes report: on a busy machine it takes a while to start those of Ray."""
    async with asyncio.timeout(_HEARD_WITHIN_S):
        while await _processes(client) < processes:
            await asyncio.sleep(0.5)


async def _watched(client: MonitorClient, seconds: float) -> int:
    """Ask as a page and a scrape do, and return how many processes were heard last."""
    end, turn, processes = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        processes = await _processes(client) or processes
        if turn % 5 == 0:
            with suppress(ActorError):
                await client.series()
        turn += 1
        await asyncio.sleep(1)
    return processes


async def _processes(client: MonitorClient) -> int:
    """Return how many processes are heard, 0 where nobody answers."""
    with suppress(ActorError):
        return len((await client.overview()).processes)
    return 0


def main() -> int:
    """Measure, and print what was found; not 0 where a promise does not hold."""
    parser = argparse.ArgumentParser("python -m tests.bench.monitor", description="Measure the monitor.")
    parser.add_argument("parts", nargs="*", choices=["accuracy", "cost", "relay", []], default=[])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for part in options.parts or ["accuracy", "cost", "relay"]:
        match part:
            case "accuracy":
                found[part] = accuracy()
            case "cost":
                found[part] = cost(options.seconds)
            case _:
                found[part] = relayed(options.seconds)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        Console(highlight=False).print_json(data=found)
    return 0 if all(part.get("holds", True) for part in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
