"""The part of the monitor that each process of the gateway has: its instruments, what feeds them, and who reports."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import ray

from actors.monitor.client import MonitorClient, RelayClient
from actors.monitor.instruments import Instruments
from actors.monitor.relay import relay_spec
from actors.monitor.reporter import Reporter
from actors.monitor.route import Route
from actors.runtime.spec import create
from serve_app.monitoring.machine import MachineFigures, ProcessFigures
from serve_app.monitoring.names import PROCESS_ENDING

_NODE_DIGITS = 8


def new_instruments(name: str) -> Instruments:
    """Return the instruments of this process of that name, which tell what it and its machine use.

    They call it by its node too: in two containers processes may have the same id.
    """
    node = node_name()
    process = f"{name}-{node}-{os.getpid()}"
    instruments = Instruments(process, node)
    instruments.source(ProcessFigures(process))
    # The folder in which Ray runs its processes, with the logs and what is spilled.
    instruments.source(MachineFigures(node, Path.cwd()))
    return instruments


def node_name() -> str:
    """Return what tells this machine's node from the others of the cluster: the start of its id in Ray.

    Without Ray, in tools and tests, the name of the machine.
    """
    if not ray.is_initialized():
        return socket.gethostname()
    node: str = ray.get_runtime_context().get_node_id()
    return node[:_NODE_DIGITS]


def monitor_route(namespace: str, set_up_logging: Callable[[], None]) -> Route:
    """Return this process's way to the monitor: directly, or through the relay of its node, made if there is none.

    `set_up_logging` is called in the relay's process.
    """

    async def find_relay() -> RelayClient:
        node_id = ray.get_runtime_context().get_node_id()
        # Off the loop: it reads code, and asks the control store.
        spec = await asyncio.to_thread(relay_spec, node_name(), node_id, namespace, set_up_logging)
        await asyncio.to_thread(create, spec, namespace)
        relay = RelayClient(namespace, spec.name)
        await relay.ensure_running()
        return relay

    return Route(MonitorClient(namespace), find_relay)


class ProcessReporter:
    """Tells the monitor what this process measures, and that it has started and ends."""

    def __init__(self, instruments: Instruments, route: Route) -> None:
        self._instruments = instruments
        self._route = route
        self._reporter = Reporter(instruments, route)

    def start(self) -> None:
        """Begin; from within a running loop."""
        self._instruments.changed("scale", f"{self._instruments.process} started, easypay {version('easypay')}")
        self._reporter.start()

    async def close(self) -> None:
        """Tell what is left, within two seconds. Safe to repeat."""
        process = self._instruments.process
        self._instruments.changed("scale", f"{process} ends")
        # Whoever says so is not taken for lost when it falls silent.
        self._instruments.gauge(PROCESS_ENDING, 1.0, process=process)
        await self._reporter.close()
        await self._route.close()
