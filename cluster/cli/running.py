"""The gateway that runs on a data directory, for commands that need one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from cluster.cli.options import data_dir, fail, settings_of
from cluster.data_dir import DataDir
from cluster.embedded import postgres, redis
from cluster.settings import Settings
from cluster.state import StateFile


class Running(NamedTuple):
    """A gateway that is ready; ``children`` are the launcher's processes by name, as the state file has them."""

    data: DataDir
    settings: Settings
    facts: dict[str, Any]
    children: dict[str, Any]

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(self.facts["url"])


def running_state(data: DataDir) -> dict[str, Any] | None:
    """Return what the launcher that runs on a directory knows of its gateway, None where none runs."""
    return StateFile(data.state_file).read() if data.holder() is not None else None


def require_running(directory: Path | None) -> Running:
    """Return the gateway that is ready on a directory; end the command where none is."""
    data = data_dir(directory)
    state = running_state(data)
    if state is None or not state["ready"] or "admin_key" not in state["facts"]:
        fail(f"no gateway is ready on {data.path}; start one with easypay up")
    return Running(data, settings_of(data), state["facts"], state["children"])


def require_test_mode(running: Running) -> None:
    """End the command where payments of this gateway could move money: it has a processor for live payments."""
    if running.settings.live_processor_url is not None:
        fail("this gateway takes live payments (LIVE_PROCESSOR_URL is set); this is done to one that does not")


def require_own_servers(running: Running) -> None:
    """End the command where PostgreSQL or Redis are not this gateway's own, on this machine."""
    if not {postgres.NAME, redis.NAME} <= running.children.keys():
        fail("this is done to a gateway with embedded PostgreSQL and Redis alone: other servers may serve others too")
