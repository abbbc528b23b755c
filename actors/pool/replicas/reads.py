"""Reads that a replica may answer, and the primary where none can."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from actors.pool.connector import Connector
from actors.pool.database import TIMEOUT_S, Database
from actors.pool.faults import DRIVER_ERRORS, Sign, tells
from actors.pool.lease import LeasedPool
from actors.pool.replicas.mark import Mark
from actors.pool.replicas.monitor import ServersView, server_name
from actors.pool.replicas.router import Choice, Exclusion, Observation, ReplicaRouter, RouterPolicy
from actors.pool.servers.timeline import REPLAYED, SEEN, Timelines
from actors.runtime.errors import ActorError, DeadlineExceeded, Overloaded, Unavailable
from actors.runtime.tallies import Counters, Tallies

PRIMARY = "primary"
READS = "database_reads"
"""Counted by server and by why: chosen, behind (the mark came too late), busy (no connection came free), failed, none
(no replica was fit)."""

# Streaming takes a millisecond or two; what is not there by then comes from the primary sooner.
WAIT_MAX_S = 0.02
_WAIT_STEP_S = 0.002
# For a connection of a busy replica, and for its answer: then the primary is asked, within the reader's time.
_CHECKOUT_S = 0.05
_ANSWER_SHARE = 0.4


class _Behind(Exception):
    """The replica had not replayed the mark in time."""


@dataclass(frozen=True, slots=True)
class ReplicaFigures:
    """How a replica does in the eyes of this process."""

    name: str
    excluded: str | None


class ReplicaReads:
    """Reads from the replica that the router chooses; from the primary where none may answer or the chosen one fails.

    A replica's failure is never the reader's: it costs at most part of the read's time.
    """

    def __init__(
        self,
        primary: Database,
        replica_urls: Sequence[str],
        *,
        name: str,
        connections: int,
        policy: RouterPolicy,
        timelines: Timelines = SEEN,
    ) -> None:
        """``connections`` is how many this process may hold at each replica; they are made when they are needed."""
        self._primary = primary
        self._timelines = timelines
        self._leases: Mapping[str, LeasedPool] = {
            server_name(url): LeasedPool(Connector(url), name=f"{name}-reads", want=connections, manager=None)
            for url in replica_urls
        }
        self._router = ReplicaRouter(self._leases, policy)
        self._counters = Counters()

    async def start(self) -> None:
        """Allow connections; none is made yet."""
        for leased in self._leases.values():
            await leased.start()

    async def close(self) -> None:
        """Close the connections to replicas."""
        await asyncio.gather(*(leased.stop() for leased in self._leases.values()))

    def take(self, view: ServersView, seen_at: float) -> None:
        """Take note of what the monitor has seen, and since when it holds, on the loop's clock."""
        for name in self._router.names:
            seen = view.servers.get(name, Observation(None, None))
            highest = self._timelines.highest(seen.standing.system) if seen.standing else 0
            self._router.observe(name, seen, highest, seen_at)
            if self._router.exclusion(name, self._now()) is Exclusion.PRIMARY:
                # Its connections are those of the budget.
                self._leases[name].pool.renew()

    def figures(self) -> tuple[ReplicaFigures, ...]:
        """Return how each replica does."""
        now = self._now()
        found = {name: self._router.exclusion(name, now) for name in self._router.names}
        return tuple(ReplicaFigures(name, why.value if why else None) for name, why in found.items())

    def tallies(self) -> Tallies:
        """Return the reads by server."""
        return self._counters.tallies()

    async def fetch(
        self, sql: str, *args: Any, mark: Mark | None = None, timeout_s: float = TIMEOUT_S
    ) -> list[asyncpg.Record]:
        """Read rows. With a mark they hold all that was committed up to it; without, all but the last seconds, by the
        router's bound of lag. Raises what ``Database.fetch`` of the primary raises.
        """
        started = self._now()
        choice = self._router.choose(mark, started)
        if choice is None:
            self._counters.add(READS, PRIMARY, "none")
            return await self._primary.fetch(sql, *args, timeout_s=timeout_s)
        try:
            rows = await self._ask(choice, mark, sql, args, timeout_s * _ANSWER_SHARE)
        except (ActorError, _Behind, OSError, *DRIVER_ERRORS) as error:
            self._note(choice.name, error)
        else:
            self._counters.add(READS, choice.name, "chosen")
            return rows
        return await self._primary.fetch(sql, *args, timeout_s=timeout_s - (self._now() - started))

    async def _ask(
        self, choice: Choice, mark: Mark | None, sql: str, args: tuple[Any, ...], within_s: float
    ) -> list[asyncpg.Record]:
        well = False
        try:
            pool = self._leases[choice.name].pool
            async with pool.acquire(min(_CHECKOUT_S, within_s), "read", applies=False) as connection:
                if mark is not None and (not choice.ready or connection.born >= choice.seen_at):
                    await self._wait(connection, mark, within_s)
                rows: list[asyncpg.Record] = await connection.fetch(sql, *args, timeout=within_s)
                well = True
                return rows
        finally:
            self._router.end(choice.name, well=well)

    async def _wait(self, connection: Any, mark: Mark, within_s: float) -> None:
        give_up = self._now() + WAIT_MAX_S
        while True:
            # Its timeline was high enough when it was last seen, and no server's ever falls.
            replayed = await connection.fetchval(REPLAYED, timeout=within_s)
            if replayed is not None and replayed >= mark.lsn:
                return
            if replayed is None or self._now() >= give_up:
                raise _Behind
            await asyncio.sleep(_WAIT_STEP_S)

    def _note(self, name: str, error: Exception) -> None:
        if isinstance(error, _Behind):
            self._counters.add(READS, PRIMARY, "behind")
            return
        if isinstance(error, DeadlineExceeded | Overloaded) and error.__cause__ is None:
            self._counters.add(READS, PRIMARY, "busy")
            return
        self._counters.add(READS, PRIMARY, "failed")
        # A query that its recovery cancelled says nothing against the server; a connection that cannot be made does.
        unmade = isinstance(error, Unavailable) and error.__cause__ is None
        if unmade or tells(error, connected=True) in (Sign.ILL, Sign.SILENT):
            self._router.failed(name)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
