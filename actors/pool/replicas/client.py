"""The only way to the monitor of servers."""

from __future__ import annotations

from actors.pool.replicas.actor import REPLICA_MONITOR_NAME
from actors.pool.replicas.monitor import ServersView
from actors.runtime.client import ActorClient

CALL_TIMEOUT_S = 2.0


class ReplicaMonitorClient(ActorClient):
    """Ask the monitor. Every call is safe to repeat, and raises what ``ActorClient`` says."""

    def __init__(self, namespace: str, name: str = REPLICA_MONITOR_NAME) -> None:
        super().__init__(name, namespace)

    async def view(self, seen: dict[int, int]) -> ServersView:
        """Tell the highest timelines that this process has seen, and return what is known of the servers."""
        answer: ServersView = await self._ask("view", seen, timeout_s=CALL_TIMEOUT_S, repeatable=True)
        return answer
