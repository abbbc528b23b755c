"""A process tells that it starts and that it ends, and waits for nobody."""

from __future__ import annotations

import os
from unittest.mock import AsyncMock, create_autospec

from actors.monitor.client import MonitorClient
from actors.monitor.instruments import Instruments
from actors.monitor.messages import Batch, Reply
from actors.monitor.route import Route
from actors.monitor.series import series
from actors.runtime.errors import Unavailable
from serve_app.monitoring.names import MACHINE_MEMORY, PROCESS_ENDING, PROCESS_MEMORY
from serve_app.monitoring.process import ProcessReporter, new_instruments, node_name


async def test_the_last_report_says_that_the_process_ends() -> None:
    """So that its silence is not taken for a loss; the first one says that it started."""
    monitor = create_autospec(MonitorClient, instance=True)
    monitor.report = AsyncMock(return_value=Reply(heard=True, relay=False))
    instruments = Instruments("gateway-7")
    reporter = ProcessReporter(instruments, Route(monitor, AsyncMock()))
    reporter.start()
    await reporter.close()
    told: list[Batch] = [call.args[0] for call in monitor.report.await_args_list]
    changes = [(change.kind, change.what) for batch in told for change in batch.changes]
    assert [kind for kind, _ in changes] == ["scale", "scale"]
    assert changes[0][1].startswith("gateway-7 started")
    assert changes[1][1] == "gateway-7 ends"
    assert any(batch.gauges.get(series(PROCESS_ENDING, process="gateway-7")) == 1 for batch in told)


async def test_a_process_ends_without_a_monitor() -> None:
    """And what it measured goes on being counted meanwhile."""
    monitor = create_autospec(MonitorClient, instance=True)
    monitor.report = AsyncMock(side_effect=Unavailable("monitor", "away", 1.0))
    instruments = Instruments("gateway-7")
    reporter = ProcessReporter(instruments, Route(monitor, AsyncMock()))
    reporter.start()
    instruments.count("things_total")
    await reporter.close()
    assert monitor.report.await_count >= 1


def test_every_process_tells_what_it_and_its_machine_use() -> None:
    """Under its name, node and process id: the same id may be that of another on another node."""
    instruments = new_instruments("gateway")
    assert instruments.process == f"gateway-{node_name()}-{os.getpid()}"
    names = {each.name for each in instruments.take().gauges}
    assert {PROCESS_MEMORY, MACHINE_MEMORY} <= names
