"""Watches every server of the database: who is the primary, which timeline is the highest, how far replicas lag."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from actors.pool.replicas.lag import LagMeter
from actors.pool.replicas.probe import Probe
from actors.pool.replicas.router import Observation
from actors.pool.servers.endpoints import Endpoint, endpoints
from actors.pool.servers.timeline import Standing, Timelines
from actors.runtime.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the database is. Any host of ``primary`` may be the primary; a replica may be one of them too."""

    primary: str = field(repr=False)
    replicas: tuple[str, ...] = field(default=(), repr=False)

    def are_many(self) -> bool:
        """Say whether there is anything to choose."""
        return bool(self.replicas) or len(endpoints(self.primary)) > 1


@dataclass(frozen=True, slots=True)
class ServersView:
    """What is known of the servers, by name, and the highest timelines seen, by system identifier.

    The servers were looked at no earlier than ``age_s`` before it was asked for.
    """

    servers: dict[str, Observation]
    timelines: dict[int, int]
    age_s: float = 0.0

    @property
    def primary(self) -> str | None:
        """The server that may be written to, None where none was seen."""
        for name, seen in self.servers.items():
            server = seen.standing
            if server and not server.in_recovery and server.timeline >= self.timelines.get(server.system, 0):
                return name
        return None


def server_name(url: str) -> str:
    """Return the name of the one server of a URL."""
    found = endpoints(url)
    return found[0].name if found else "default"


class ServerMonitor:
    """Look at all servers at once, each within a second."""

    def __init__(self, servers: Servers, timelines: Timelines, clock: Callable[[], float]) -> None:
        self._probes: dict[str, Probe] = {}
        for url in (servers.primary, *servers.replicas):
            for server in endpoints(url) or (None,):
                self._probes.setdefault(_name(server), Probe(url, server))
        self._timelines = timelines
        self._meter = LagMeter()
        self._clock = clock
        self._seen: dict[str, Observation] = {}
        self._looked_at = clock()

    async def look(self) -> None:
        """Look at every server, once."""
        began = self._clock()
        found = dict(zip(self._probes, await asyncio.gather(*map(_look, self._probes.values())), strict=True))
        now = self._clock()
        self._note_primary([server for server in found.values() if server is not None], now)
        self._seen = {
            name: Observation(server, self._meter.lag_s(server.lsn, now) if server and server.in_recovery else None)
            for name, server in found.items()
        }
        self._looked_at = began

    def view(self, seen: dict[int, int]) -> ServersView:
        """Take note of the highest timelines that a process has seen, and return what is known."""
        self._timelines.learn(seen)
        return ServersView(dict(self._seen), self._timelines.all(), self._clock() - self._looked_at)

    def close(self) -> None:
        """Cut every connection."""
        for probe in self._probes.values():
            probe.close()

    def _note_primary(self, found: Sequence[Standing], now: float) -> None:
        """One that was replaced and came back is none."""
        primaries = [server for server in found if not server.in_recovery]
        for server in sorted(primaries, key=lambda server: -server.timeline):
            if self._timelines.admits(server):
                self._meter.primary(server.timeline, server.lsn, now)


async def _look(probe: Probe) -> Standing | None:
    try:
        return await probe.look()
    except Unavailable:
        return None


def _name(server: Endpoint | None) -> str:
    return server.name if server is not None else "default"
