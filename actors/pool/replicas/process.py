"""A process's part in a database of several servers."""

from __future__ import annotations

from dataclasses import dataclass

from actors.pool.database import Database
from actors.pool.replicas.monitor import Servers
from actors.pool.replicas.reads import ReplicaReads
from actors.pool.replicas.router import RouterPolicy
from actors.pool.replicas.watch import Monitor, ServerWatch


@dataclass(frozen=True, slots=True)
class ProcessServers:
    """Hears of the servers, gives up connections to a primary that was replaced, and reads from replicas."""

    watch: ServerWatch
    # None where there are no replicas: then only the primary can change.
    reads: ReplicaReads | None

    @classmethod
    async def open(
        cls,
        servers: Servers,
        database: Database,
        monitor: Monitor,
        *,
        name: str,
        connections: int,
        policy: RouterPolicy,
    ) -> ProcessServers:
        """Begin to hear of the servers; nothing is waited for. ``connections`` is how many there may be to each."""
        reads = None
        if servers.replicas:
            reads = ReplicaReads(database, servers.replicas, name=name, connections=connections, policy=policy)
            await reads.start()
        watch = ServerWatch(
            monitor,
            on_promotion=database.pool.renew,
            on_view=reads.take if reads is not None else lambda _view, _seen_at: None,
        )
        watch.start()
        return cls(watch, reads)

    async def close(self) -> None:
        """Hear no more, and close the connections to replicas."""
        await self.watch.close()
        if self.reads is not None:
            await self.reads.close()
