"""What actors' processes use, told to the monitor by themselves.

Only that: what the actors know is asked of them by the monitor. So a report every other second is enough.
"""

from __future__ import annotations

from actors.monitor.reporter import Reporter
from cluster.composition import ACTOR_NAMESPACE
from cluster.process_logs import set_up_logging
from cluster.settings import load_settings
from serve_app.monitoring.process import monitor_route, new_instruments

_EVERY_S = 2.0

# Held, for a task that nobody holds may be collected.
_reporters: list[Reporter] = []


def report_process(name: str) -> None:
    """Have this process, of an actor of this name, tell what it uses from now on; within a running loop.

    Safe to repeat. Where monitoring is switched off nothing is told.
    """
    if _reporters or not load_settings().performance_monitoring_enabled:
        return
    reporter = Reporter(new_instruments(name), monitor_route(ACTOR_NAMESPACE, set_up_logging), every_s=_EVERY_S)
    reporter.start()
    _reporters.append(reporter)


def start_breaker_board() -> None:
    """Do what the process of the board of breakers has to do once, when it is asked to run."""
    set_up_logging()
    report_process("breakers")
