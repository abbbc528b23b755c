"""Twins of a connection, a connector and a manager that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actors.pool.messages import Grant, Renewed, Wait
from actors.pool.usage import Figures
from actors.runtime.errors import Unavailable


class FakeConnection:
    """A connection with scripted answers. Without a script it answers every statement with no rows."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.born = self.retire_at = self.lent_at = self.used_at = 0.0
        self.known: list[str] = []
        self.closed = False
        self.in_transaction = False
        self.terminated = False
        self.statements: list[tuple[str, tuple[Any, ...]]] = []
        self.timeouts: list[float | None] = []
        self.answer: Callable[[str, tuple[Any, ...]], Any] = lambda _sql, _args: []
        self.closing = asyncio.Event()
        self.may_close = asyncio.Event()
        self.may_close.set()

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return self.in_transaction

    async def fetch(self, sql: str, *args: Any, timeout: float | None = None) -> Any:
        self.statements.append((sql, args))
        self.timeouts.append(timeout)
        answer = self.answer(sql, args)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def fetchrow(self, sql: str, *args: Any, timeout: float | None = None) -> Any:
        rows = await self.fetch(sql, *args, timeout=timeout)
        return rows[0] if rows else None

    async def execute(self, sql: str, *args: Any, timeout: float | None = None) -> str:
        await self.fetch(sql, *args, timeout=timeout)
        if sql == "BEGIN":
            self.in_transaction = True
        elif sql in ("COMMIT", "ROLLBACK"):
            self.in_transaction = False
        return sql.split()[0]

    def known_statements(self) -> list[str]:
        return list(self.known)

    async def prepare_ahead(self, query: str, timeout_s: float) -> None:
        await self.fetch(f"PREPARE {query}", timeout=timeout_s)
        self.known.append(query)

    async def close(self, timeout: float) -> None:
        assert timeout > 0, "closing is bounded"
        self.closing.set()
        await self.may_close.wait()
        self.closed = True

    def terminate(self) -> None:
        self.closed = self.terminated = True


class FakeServer:
    """Makes connections, until it is told to be down."""

    def __init__(self) -> None:
        self.down = False
        self.connections: list[FakeConnection] = []
        self.tries = 0
        self.may_connect = asyncio.Event()
        self.may_connect.set()
        self.answer: Callable[[str, tuple[Any, ...]], Any] = lambda _sql, _args: []

    async def connect(self, application_name: str = "fake") -> Any:
        self.tries += 1
        await self.may_connect.wait()
        if self.down:
            raise Unavailable("database", "cannot connect: refused", 1.0)
        connection = FakeConnection(application_name)
        connection.answer = lambda sql, args: self.answer(sql, args)
        self.connections.append(connection)
        return connection

    def restart(self) -> None:
        """Lose every connection."""
        for connection in self.connections:
            connection.closed = True

    @property
    def living(self) -> list[FakeConnection]:
        return [connection for connection in self.connections if not connection.closed]


class FakeManager:
    """Answers as scripted, the first call at once and the others when they may; remembers what it was asked."""

    def __init__(self, *answers: Grant | Wait | Renewed | int | Exception) -> None:
        self.answers = list(answers)
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.asked: list[tuple[Any, ...]] = []
        self.told: list[Figures | None] = []
        self._changed = asyncio.Event()

    async def request(self, holder: str, want: int) -> Grant | Wait:
        answer: Grant | Wait = await self._next("request", holder, want)
        return answer

    async def renew(
        self, lease_id: str, holder: str, size: int, want: int, active: bool = True, figures: Figures | None = None
    ) -> Renewed | None:
        assert holder.startswith("test-")
        self.told.append(figures)
        answer = await self._next("renew", lease_id, size, want)
        if isinstance(answer, int):
            return Renewed(answer) if answer else None
        renewed: Renewed | None = answer
        return renewed

    async def release(self, lease_id: str, figures: Figures | None = None) -> None:
        self.told.append(figures)
        await self._next("release", lease_id)

    async def wait_for(self, count: int) -> None:
        """Wait until it was asked ``count`` times."""
        async with asyncio.timeout(5):
            while len(self.asked) < count:
                self._changed.clear()
                await self._changed.wait()

    async def _next(self, *call: Any) -> Any:
        if self.asked:
            await self.may_go_on.wait()
        self.asked.append(call)
        self._changed.set()
        answer = self.answers.pop(0) if self.answers else Unavailable("pool-manager", "away", 1.0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def turns(count: int = 10) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)
