"""One use of a connection."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from actors.pool.connector import PooledConnection
from actors.pool.faults import translate

if TYPE_CHECKING:
    from actors.pool.connections import ConnectionPool


class Loan:
    """Take a connection on entering, give it back on leaving, and turn the errors of the body into ours."""

    __slots__ = ("_applies", "_connection", "_operation", "_pool", "_timeout_s")

    def __init__(self, pool: ConnectionPool, timeout_s: float, operation: str | None, applies: bool) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._operation = operation
        self._applies = applies
        self._connection: PooledConnection | None = None

    async def __aenter__(self) -> PooledConnection:
        self._connection = await self._pool.take(self._timeout_s)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._connection
        assert connection is not None
        connected = not connection.is_closed()
        self._pool.give_back(connection, error)
        if error is None or self._operation is None:
            return
        ours = translate(self._operation, error, connected=connected, applies=self._applies)
        if ours is not None:
            raise ours from error
