"""Actors for the tests of the runtime under a real Ray. Ray's workers import them from here."""

from __future__ import annotations

import asyncio
import os

from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.runtime.client import ActorClient
from actors.runtime.errors import RowRejected
from actors.runtime.supervised import Supervised


class Unpicklable(Exception):
    """An error that does not survive the journey."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class ServantActor(Supervised):
    """Does as it is told."""

    def __init__(self, code_version: str) -> None:
        super().__init__(code_version)
        self._release = asyncio.Event()

    async def echo(self, text: str) -> str:
        return text

    async def pid(self) -> int:
        return os.getpid()

    async def reject(self) -> None:
        raise RowRejected("statement", "23505", "key")

    async def fail(self) -> None:
        raise Unpicklable("this", "that")

    async def wait(self) -> None:
        await self._release.wait()

    async def die(self) -> None:
        os._exit(1)


class ServantClient(ActorClient):
    """The way to a servant, safe to repeat or not as the test wants."""

    async def ask(self, method: str, *args: str, timeout_s: float = 10.0, repeatable: bool = True) -> object:
        return await self._ask(method, *args, timeout_s=timeout_s, repeatable=repeatable)


class HolderActor(Supervised):
    """A process that leases connections and uses them."""

    def __init__(self, code_version: str, url: str, namespace: str) -> None:
        super().__init__(code_version)
        self._url = url
        self._namespace = namespace
        self._database: Database | None = None

    async def open(self, want: int) -> tuple[int, int]:
        """Open a database, and return the process id and the size of the lease."""
        manager = PoolManagerClient(self._namespace)
        self._database = await Database.open(self._url, name="holder", manager=manager, want=want, warm=want)
        return os.getpid(), self._database.pool.size
