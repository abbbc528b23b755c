"""One use of a connection."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from actors.pool.connector import PooledConnection
from actors.pool.faults import Sign, tells, translate
from actors.pool.line import Priority

if TYPE_CHECKING:
    from actors.pool.connections import ConnectionPool

UNNAMED = "transaction"


class Loan:
    """Take a connection on entering, give it back on leaving, and turn the errors of the body into ours."""

    __slots__ = ("_applies", "_connection", "_operation", "_pool", "_priority", "_ticket", "_timeout_s")

    def __init__(
        self, pool: ConnectionPool, timeout_s: float, operation: str | None, applies: bool, priority: Priority
    ) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._operation = operation
        self._applies = applies
        self._priority = priority
        self._connection: PooledConnection | None = None
        self._ticket = 0

    async def __aenter__(self) -> PooledConnection:
        gate = self._pool.gate
        if gate is None:
            self._connection = await self._pool.take(self._timeout_s, self._priority)
            return self._connection
        ticket = gate.ticket
        try:
            self._connection = await self._pool.take(self._timeout_s, self._priority)
        except BaseException:
            # Nothing was sent. Where a connection could not be made, whoever tried has shown that already.
            gate.saw(ticket, Sign.NOTHING)
            raise
        self._ticket = gate.ticket
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._connection
        assert connection is not None
        connected = not connection.is_closed()
        self._pool.give_back(connection, error, self._operation or UNNAMED)
        if self._pool.gate is not None:
            self._pool.gate.saw(self._ticket, tells(error, connected=connected))
        if error is None or self._operation is None:
            return
        ours = translate(self._operation, error, connected=connected, applies=self._applies)
        if ours is not None:
            raise ours from error
