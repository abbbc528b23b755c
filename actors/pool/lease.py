"""The lease of this process: it decides how large the connection pool may be."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from typing import Protocol

from actors.pool.budget import HOLDER_MAX, Grant, Wait
from actors.pool.connections import ConnectionPool
from actors.pool.connector import Connector, PooledConnection
from actors.pool.faults import NOT_LEASED, RESOURCE, RETRY_AFTER_S, Sign, tells
from actors.pool.gate import Gate
from actors.runtime.clock import Clock, SystemClock
from actors.runtime.errors import ActorError, Unavailable

# Five tries within the lease's term of five seconds.
RENEW_INTERVAL_S = 1.0
# A manager that has just started grants nothing for one term; twice that, and the process starts without.
FIRST_GRANT_TIMEOUT_S = 10.0

_logger = logging.getLogger(__name__)


class Manager(Protocol):
    """What a lease needs of the pool manager: ``PoolManagerClient``, or a test's twin of it."""

    async def request(self, holder: str, want: int) -> Grant | Wait:
        """Lease up to ``want`` connections."""
        ...

    async def renew(self, lease_id: str, holder: str, size: int, want: int) -> int:
        """Prolong a lease and return its size; 0: it is lost."""
        ...

    async def release(self, lease_id: str) -> None:
        """Give a lease back."""
        ...


def holder_name(name: str) -> str:
    """Return a name for this process that no other one ever has and that the server does not cut off."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    unique = f"-{os.getpid()}-{secrets.token_hex(5)}"
    return kept[: HOLDER_MAX - len(unique)] + unique


class LeasedPool:
    """A connection pool whose size is leased from the manager, or fixed where there is none (tools and tests).

    While the manager is away the pool goes on at its last size. A lease that was lost (this process stood still for
    longer than its term) closes every connection and asks anew.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        name: str,
        want: int,
        manager: Manager | None,
        clock: Clock | None = None,
        renew_interval_s: float = RENEW_INTERVAL_S,
        gate: Gate | None = None,
    ) -> None:
        assert want > 0
        self._gate = gate
        self._connector = connector
        self._name = name
        self._holder = holder_name(name)
        self._want = want
        self._manager = manager
        self._clock = clock or SystemClock()
        self._interval_s = renew_interval_s
        self._lease: Grant | None = None
        self._valid_until = 0.0
        self._granted = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._step_lock = asyncio.Lock()
        self.pool = ConnectionPool(self._connect, gate=gate)

    @property
    def holder(self) -> str:
        """The name by which the manager knows this process; no other one ever has it."""
        return self._holder

    async def start(self, timeout_s: float = FIRST_GRANT_TIMEOUT_S) -> bool:
        """Ask for the lease and keep it; return whether it was granted within the time. If not, asking goes on."""
        if self._manager is None:
            self.pool.resize(self._want)
            return True
        self._keeping = asyncio.get_running_loop().create_task(self._keep())
        try:
            async with asyncio.timeout(timeout_s):
                await self._granted.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Close every connection and give the lease back."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self.pool.close()
        if self._manager is not None and self._lease is not None:
            try:
                await self._manager.release(self._lease.lease_id)
            except ActorError as error:
                _logger.info("the lease of %s was not given back (%s); it runs out", self._holder, error)

    async def _keep(self) -> None:
        while True:
            try:
                pause_s = await self._step()
            except ActorError as error:
                _logger.debug("the pool manager did not answer %s: %s", self._holder, error)
                pause_s = self._interval_s
            await asyncio.sleep(pause_s)

    async def _step(self) -> float:
        """Renew the lease, or ask for one; return the pause until the next step."""
        async with self._step_lock:
            if self._lease is not None:
                await self._renew(self._lease)
            if self._lease is None:
                return await self._request()
            return self._interval_s

    async def _renew(self, lease: Grant) -> None:
        assert self._manager is not None
        sent_at = self._clock.monotonic()
        may_hold = max(self.pool.size, self.pool.open)
        size = await self._manager.renew(lease.lease_id, self._holder, may_hold, self._want)
        if size == 0:
            _logger.warning("the lease %s was lost", lease.lease_id)
            self._lease = None
            self.pool.resize(0)
            self.pool.renew()
        else:
            self._valid_until = sent_at + lease.ttl_s
            self.pool.resize(size)

    async def _request(self) -> float:
        assert self._manager is not None
        sent_at = self._clock.monotonic()
        answer = await self._manager.request(self._holder, self._want)
        if isinstance(answer, Wait):
            return answer.retry_after_s
        self._lease, self._valid_until = answer, sent_at + answer.ttl_s
        self.pool.resize(answer.size)
        self._granted.set()
        return self._interval_s

    async def _connect(self) -> PooledConnection:
        if self._manager is None:
            return await self._dial(self._name)
        await self._revalidate()
        if self._lease is None:
            raise Unavailable(RESOURCE, NOT_LEASED, RETRY_AFTER_S)
        return await self._dial(self._lease.lease_id)

    async def _dial(self, application_name: str) -> PooledConnection:
        """Connect, and show the gate what came of it."""
        if self._gate is None:
            return await self._connector.connect(application_name)
        ticket = self._gate.ticket
        try:
            connection = await self._connector.connect(application_name)
        except Unavailable as unavailable:
            self._gate.saw(ticket, tells(unavailable, connected=False))
            raise
        self._gate.saw(ticket, Sign.WELL)
        return connection

    async def _revalidate(self) -> None:
        """Before a new connection, ask about a lease that may have run out; a manager that is away does not forbid."""
        if self._lease is None or self._clock.monotonic() < self._valid_until:
            return
        try:
            await self._step()
        except ActorError:
            return
