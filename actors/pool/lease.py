"""The lease of this process: it decides how large the connection pool may be."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from contextlib import suppress
from typing import Protocol

from actors.pool.budget import HOLDER_MAX, SILENT_S
from actors.pool.connections import ConnectionPool
from actors.pool.connector import Connector, PooledConnection
from actors.pool.faults import NOT_LEASED, RESOURCE, RETRY_AFTER_S, Sign, tells
from actors.pool.gate import Gate
from actors.pool.messages import Grant, Renewed, Wait
from actors.pool.sizing import Sizer
from actors.pool.usage import Figures
from actors.runtime.clock import Clock, SystemClock
from actors.runtime.errors import ActorError, Unavailable

# Five tries within the lease's term of five seconds.
RENEW_INTERVAL_S = 1.0
# While callers wait for a larger size, when connections were given up, and while scarce ones are not used.
HURRIED_INTERVAL_S = 0.2
FIGURES_INTERVAL_S = 5.0
# A manager that has just started grants nothing for one term; twice that, and the process starts without.
FIRST_GRANT_TIMEOUT_S = 10.0

_logger = logging.getLogger(__name__)


class Manager(Protocol):
    """What a lease needs of the pool manager: ``PoolManagerClient``, or a test's twin of it."""

    async def request(self, holder: str, want: int) -> Grant | Wait:
        """Lease up to ``want`` connections."""
        ...

    async def renew(
        self, lease_id: str, holder: str, size: int, want: int, active: bool = True, figures: Figures | None = None
    ) -> Renewed | None:
        """Prolong a lease and return its size; None: it is lost. ``active``: somebody uses or waits for a connection
        now. ``figures``: those of its pool, now and then.
        """
        ...

    async def release(self, lease_id: str, figures: Figures | None = None) -> None:
        """Give a lease back."""
        ...


def holder_name(name: str) -> str:
    """Return a name for this process that no other one ever has and that the server does not cut off."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    unique = f"-{os.getpid()}-{secrets.token_hex(5)}"
    return kept[: HOLDER_MAX - len(unique)] + unique


class LeasedPool:
    """A connection pool whose size is leased from the manager, or fixed where there is none (tools and tests).

    With ``least`` it asks for what its load needs, between that and ``want``, and for nothing where it has not been
    used for long; what it is granted it opens ahead of its use. Without, it asks for ``want`` all the time. While the
    manager is away the pool goes on at its last size. A lease that was lost (this process stood still for longer than
    its term) closes every connection and asks anew.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        name: str,
        want: int,
        manager: Manager | None,
        least: int | None = None,
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
        self._sizer = Sizer(least, want) if least is not None else None
        self._manager = manager
        self._clock = clock or SystemClock()
        self._interval_s = renew_interval_s
        self._lease: Grant | None = None
        self._wanted_now = want
        self._observed_at = float("-inf")
        self._scarce = False
        # What was given up counts until the manager hears that it is closed.
        self._shrunk = False
        self._asked_at = 0.0
        self._connect_until = float("inf")
        self._told_at = float("-inf")
        self._granted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._step_lock = asyncio.Lock()
        self.pool = ConnectionPool(self._connect, gate=gate, pressed=self._pressed)

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
                await self._manager.release(self._lease.lease_id, self.pool.figures())
            except ActorError as error:
                _logger.info("the lease of %s was not given back (%s); it runs out", self._holder, error)

    async def _keep(self) -> None:
        while True:
            try:
                pause_s = await self._step()
            except ActorError as error:
                _logger.debug("the pool manager did not answer %s: %s", self._holder, error)
                pause_s = self._interval_s
            await self._pause(pause_s)

    async def _pause(self, pause_s: float) -> None:
        """Wait until the next step; not so long where there is something to tell."""
        hurried_s = min(pause_s, HURRIED_INTERVAL_S)
        await asyncio.sleep(hurried_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s - hurried_s):
                await self._hurry.wait()
        self._hurry.clear()

    def _pressed(self) -> None:
        """Tell the manager soon that callers wait for more, or that what was too much is closed."""
        if self.pool.size < self._want:
            self._hurry.set()

    async def _step(self) -> float:
        """Renew the lease, or ask for one; return the pause until the next step."""
        async with self._step_lock:
            if self._lease is not None:
                await self._renew(self._lease)
            if self._lease is None:
                return await self._request()
            return HURRIED_INTERVAL_S if self._in_a_hurry() else self._interval_s

    def _in_a_hurry(self) -> bool:
        """Whether callers without any connection wait for a turn that may come any moment, or others may."""
        hungry = self.pool.size == 0 and self.pool.waiting > 0
        unused = self.pool.size > 0 and self._scarce and not self._active()
        return hungry or unused or self._shrunk

    def _active(self) -> bool:
        return self.pool.in_use > 0 or self.pool.waiting > 0

    async def _renew(self, lease: Grant) -> None:
        assert self._manager is not None
        asked_at = self._clock.monotonic()
        may_hold = max(self.pool.size, self.pool.open)
        figures = self.pool.figures() if asked_at >= self._told_at + FIGURES_INTERVAL_S else None
        renewed = await self._manager.renew(
            lease.lease_id, self._holder, may_hold, self._wanted(), self._active(), figures
        )
        if renewed is None:
            _logger.warning("the lease %s was lost", lease.lease_id)
            self._lease = None
            self.pool.resize(0)
            self.pool.renew()
            return
        self._asked_at, self._connect_until = asked_at, asked_at + renewed.connect_s
        self._scarce, self._shrunk = renewed.scarce, renewed.size < may_hold
        if figures is not None:
            self._told_at = asked_at
        self.pool.resize(renewed.size, asyncio.get_running_loop().time() + renewed.held_s)
        self.pool.tend(keep=renewed.size if self._sizer is not None else 0)

    def _wanted(self) -> int:
        if self._sizer is None:
            return self._want
        now = asyncio.get_running_loop().time()
        # The load of a moment is what one caller makes of it.
        if now >= self._observed_at + HURRIED_INTERVAL_S / 2:
            self._wanted_now = self._sizer.observe(self.pool.load(), now, scarce=self._scarce)
            self._observed_at = now
        return self._wanted_now

    async def _request(self) -> float:
        assert self._manager is not None
        asked_at = self._clock.monotonic()
        answer = await self._manager.request(self._holder, max(1, self._wanted_now))
        if isinstance(answer, Wait):
            return answer.retry_after_s
        self._lease, self._asked_at, self._connect_until = answer, asked_at, asked_at + answer.connect_s
        self.pool.resize(answer.size, asyncio.get_running_loop().time())
        self._granted.set()
        return self._interval_s

    async def _connect(self) -> PooledConnection:
        if self._manager is None:
            return await self._dial(self._name)
        await self._revalidate()
        lease = self._lease
        if lease is None or self._clock.monotonic() >= self._connect_until:
            # Another cluster may be ending the connections of this one: none may follow.
            raise Unavailable(RESOURCE, NOT_LEASED, RETRY_AFTER_S)
        connection = await self._dial(lease.lease_id)
        try:
            # It may have taken so long that the lease was given to others meanwhile.
            await self._revalidate()
        except BaseException:
            connection.terminate()
            raise
        if self._lease is not lease:
            connection.terminate()
            raise Unavailable(RESOURCE, NOT_LEASED, RETRY_AFTER_S)
        return connection

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
        """Ask about a lease of which the manager may believe that it was left; one that is away does not forbid."""
        if self._lease is None or self._clock.monotonic() < self._asked_at + min(SILENT_S, self._lease.ttl_s):
            return
        try:
            await self._step()
        except ActorError:
            return
