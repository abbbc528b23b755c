"""The servers of the database for operators: who is the primary, how far replicas lag, which of them may answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from actors.pool.replicas.client import ReplicaMonitorClient
from actors.pool.replicas.monitor import ServersView
from actors.pool.replicas.process import ProcessServers
from actors.runtime.errors import ActorError
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.problems import Code, Problem


class DatabaseServer(BaseModel):
    """One server."""

    name: str = Field(description="Where it listens.")
    state: Literal["primary", "replica", "replaced", "away"] = Field(
        description="`replaced`: it can be written to, and another server was promoted since; nobody writes there."
    )
    timeline: int | None = Field(description="Rises with each promotion.")
    lag_seconds: float | None = Field(description="Of a replica: for how long what it lacks has been written.")
    excluded: str | None = Field(description="Why this replica of the gateway reads nothing there.")


class DatabaseServers(BaseModel):
    """All servers of the database; none where there is but one, for nobody watches it."""

    servers: list[DatabaseServer]


class ServerEndpoints:
    """Shows the servers."""

    def __init__(self, monitor: ReplicaMonitorClient | None, servers: ProcessServers | None) -> None:
        self._monitor = monitor
        self._servers = servers

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "GET", "/ops/api/database/servers", self.show, "See the servers of the database", "Operations",
                Scope.ADMIN.value, answers={200: DatabaseServers}, problems=("overloaded",),
            ),
        )  # fmt: skip

    async def show(self, _: Call) -> Response:
        """Show what the monitor knows, and what this process makes of it."""
        if self._monitor is None:
            return json_response(200, {"servers": []})
        try:
            view = await self._monitor.view({})
        except ActorError as fault:
            raise Problem(Code.OVERLOADED, f"The servers are not known now: {fault}.", retry_after_s=1) from None
        return json_response(200, {"servers": describe_servers(view, self._servers)})


def describe_servers(view: ServersView, servers: ProcessServers | None) -> list[dict[str, object]]:
    """Return each server as it is shown."""
    reads = servers.reads if servers is not None else None
    excluded = {figure.name: figure.excluded for figure in reads.figures()} if reads is not None else {}
    primary = view.primary
    return [
        {
            "name": name,
            "state": _state(view, name, primary),
            "timeline": seen.standing.timeline if seen.standing else None,
            "lag_seconds": seen.lag_s,
            "excluded": excluded.get(name),
        }
        for name, seen in sorted(view.servers.items())
    ]


def _state(view: ServersView, name: str, primary: str | None) -> str:
    server = view.servers[name].standing
    if server is None:
        return "away"
    if server.in_recovery:
        return "replica"
    return "primary" if name == primary else "replaced"
