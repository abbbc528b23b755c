"""Start a gateway on this machine and keep it running until told to stop.

No driver of Ray is in this process: it starts, watches and ends others, and outlives each of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from cluster.bootstrapping import DEFAULT_COMMAND
from cluster.data_dir import DataDir, DataDirError
from cluster.embedded.account import NoAccount
from cluster.instance import end_marked
from cluster.local_gateway import LABELS, LocalGateway, assemble
from cluster.ports import NoFreePort, is_free
from cluster.process_supervision import GiveUp
from cluster.processes import Processes
from cluster.reports import Failed, Notice, PipeReporter, Ready, Reporter, StepDone, StepStarted
from cluster.settings import Settings, SettingsError, read_environment
from cluster.state import StateFile

_LOG_LINES_SHOWN = 8


class CannotStart(Exception):
    """Something stands in the way of a start; the text says what and is fit to show."""


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What the command line says; what it leaves open is read from the environment."""

    data_dir: str
    port: int | None = None
    replicas: int | None = None
    db_replicas: int | None = None
    synchronous: bool | None = None
    bootstrap_command: Sequence[str] = DEFAULT_COMMAND

    def to_json(self) -> str:
        """Return the options as `from_json` takes them."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LaunchOptions:
        """Return the options that `to_json` wrote."""
        return cls(**json.loads(text))


async def launch(options: LaunchOptions, report: Reporter) -> int:
    """Run a gateway until a signal ends it, and return the exit status. Everything is down on return."""
    data = DataDir(Path(options.data_dir))
    try:
        settings = read_environment(
            http_port=options.port,
            http_replicas=options.replicas,
            database_replicas=options.db_replicas,
            database_synchronous=options.synchronous,
        )
        data.create()
        with data.locked():
            fault = await _run(data, settings, options, report)
    except (SettingsError, DataDirError, CannotStart, NoAccount, NoFreePort, FileNotFoundError) as error:
        report(Failed(str(error)))
        return 1
    if fault is not None:
        report(Failed(_explain(fault, data)))
        return 1
    return 0


async def _run(data: DataDir, settings: Settings, options: LaunchOptions, report: Reporter) -> GiveUp | None:
    _end_leftovers(data, report)
    _require_free_port(settings)
    gateway = assemble(
        data,
        settings,
        bootstrap_command=options.bootstrap_command,
        on_step=lambda step, seconds: report(StepDone(f"  {step}", seconds)),
        tell=lambda text: report(Notice(text)),
    )
    state = StateFile(data.state_file)
    watcher = _Watcher(gateway, state, report)
    processes = watcher.processes = Processes(gateway.children, watcher)
    _stop_on_signals(processes, report)
    try:
        return await processes.run()
    finally:
        # What a child started and forgot, and what was cut off by the second Ctrl-C.
        end_marked(data.instance)
        if settings.database_url is not None:
            await _sign_off(gateway, report)
        gateway.remove_sockets()
        state.remove()


async def _sign_off(gateway: LocalGateway, report: Reporter) -> None:
    fault = await gateway.sign_off()
    if fault is not None:
        report(Notice(f"other gateways on the database find out by themselves that this one is down: {fault}"))


def _end_leftovers(data: DataDir, report: Reporter) -> None:
    ended = end_marked(data.instance)
    if ended:
        report(Notice(f"the last run did not end well: {ended} processes that it left behind were ended"))


def _require_free_port(settings: Settings) -> None:
    host, port = settings.http_host, settings.http_port
    if is_free(port, host):
        return
    free = next((other for other in range(port + 1, min(port + 1000, 65_536)) if is_free(other, host)), None)
    hint = f"; {free} is free: --port {free}" if free else ""
    raise CannotStart(f"port {port} is taken by {_user_of(port)}{hint}")


def _user_of(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        connections = []
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid:
            return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another program"


def _stop_on_signals(processes: Processes, report: Reporter) -> None:
    def stop() -> None:
        again = processes.stop_asked
        processes.stop()
        report(Notice("stopping at once" if again else "stopping (again to stop at once)"))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)


def _explain(fault: GiveUp, data: DataDir) -> str:
    log = data.logs / f"{_LOG_NAMES.get(fault.name, fault.name)}.log"
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:] if log.exists() else []
    quoted = "".join(f"\n    {line}" for line in lines)
    return f"{LABELS[fault.name]} did not start: {fault.reason}\n  log file: {log}{quoted}"


_LOG_NAMES = {"gateway": "bootstrap"}


class _Watcher:
    """Turn what happens to children into reports and into the state file."""

    processes: Processes

    def __init__(self, gateway: LocalGateway, state: StateFile, report: Reporter) -> None:
        self._gateway = gateway
        self._state = state
        self._report = report

    def on_start(self, name: str) -> None:
        self._report(StepStarted(LABELS[name]))

    def on_ready(self, name: str, seconds: float) -> None:
        self._report(StepDone(LABELS[name], seconds))
        self._write_state()

    def on_death(self, name: str, reason: str) -> None:
        if self.processes.supervision.fault is None:
            self._report(Notice(f"{LABELS[name]} {reason}; starting it again"))
        self._write_state()

    def on_all_ready(self) -> None:
        self._write_state()
        self._report(Ready(self._gateway.facts(os.getpid())))

    def _write_state(self) -> None:
        supervision = self.processes.supervision
        pids = self.processes.pids()
        self._state.write(
            facts=self._gateway.facts(os.getpid()),
            ready=supervision.all_ready,
            children={
                name: {"phase": child.phase.value, "pid": pids.get(name), "restarts": child.restarts}
                for name, child in supervision.children.items()
            },
        )


def main() -> None:
    """Run as the process that `easypay up --detach` leaves behind: options as JSON, descriptor of the pipe."""
    options = LaunchOptions.from_json(sys.argv[1])
    sys.exit(asyncio.run(launch(options, PipeReporter(int(sys.argv[2])))))


if __name__ == "__main__":
    main()
