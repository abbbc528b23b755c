"""The lease of this process: it sizes the connection pool."""

from __future__ import annotations

import asyncio
import os
import uuid
from typing import Protocol

from actors.pool.client import PoolManagerClient
from actors.pool.connections import ConnectionPool
from actors.runtime.errors import ActorError

_RENEW_EVERY_S = 1.0
_FIRST_GRANT_WITHIN_S = 10.0


class Lease(Protocol):
    """Says how large a pool may be."""

    @property
    def name(self) -> str:
        """The holder's name, by which the server knows its connections."""
        ...

    async def start(self, pool: ConnectionPool) -> None:
        """Size the pool, from now until `stop`."""
        ...

    async def stop(self) -> None:
        """Give the lease back; the pool is closed by then."""
        ...


class FixedLease:
    """A lease from nobody, for tools and tests."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size

    @property
    def name(self) -> str:
        """The holder's name."""
        return self._name

    async def start(self, pool: ConnectionPool) -> None:
        """Give the pool its size."""
        pool.resize(self._size)

    async def stop(self) -> None:
        """Nothing is to be given back."""


class ManagedLease:
    """A lease from the pool manager, kept by renewing it; while the manager is away the last size holds."""

    def __init__(self, manager: PoolManagerClient, name: str, want: int) -> None:
        self._manager = manager
        self._name = f"{name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._want = want
        self._size = 0
        self._granted = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The holder's name, which no other process ever has."""
        return self._name

    async def start(self, pool: ConnectionPool) -> None:
        """Ask for the lease and keep it; waits a little for the first grant, which a fresh manager holds back."""
        self._renewing = asyncio.get_running_loop().create_task(self._keep(pool))
        try:
            async with asyncio.timeout(_FIRST_GRANT_WITHIN_S):
                await self._granted.wait()
        except TimeoutError:
            return

    async def stop(self) -> None:
        """Stop renewing and give the lease back."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        try:
            await self._manager.release(self._name)
        except ActorError:
            return  # It runs out by itself.

    async def _keep(self, pool: ConnectionPool) -> None:
        while True:
            try:
                await self._ask_once(pool)
            except ActorError:
                pass  # The manager is away: what we hold goes on, and we ask again.
            await asyncio.sleep(_RENEW_EVERY_S if self._size else _RENEW_EVERY_S / 4)

    async def _ask_once(self, pool: ConnectionPool) -> None:
        if self._size and not await self._manager.renew(self._name, self._size):
            self._size = 0
            pool.resize(0)
        if not self._size:
            self._size = await self._manager.request(self._name, self._want)
            pool.resize(self._size)
            if self._size:
                self._granted.set()
