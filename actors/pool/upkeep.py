"""What is done with a connection that nobody uses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import asyncpg

from actors.pool.connector import PooledConnection
from actors.pool.faults import DRIVER_ERRORS, describe

PROBE_TIMEOUT_S = 1.0
# Statements in daily use are a few dozen; a process that has made many for one use each does not hand all of them on.
STATEMENTS_MAX = 64

_logger = logging.getLogger(__name__)


async def answers(connection: PooledConnection) -> bool:
    """Ask the server for nothing; return whether the answer came in time."""
    try:
        await connection.execute("SELECT 1", timeout=PROBE_TIMEOUT_S)
    except (OSError, *DRIVER_ERRORS) as error:
        _logger.info("an idle connection does not answer: %s", describe(error))
        return False
    return True


async def acquaint(connection: PooledConnection, others: Iterable[PooledConnection], hurry: Callable[[], bool]) -> None:
    """Prepare on a new connection what another one has prepared, the last used first, while there is no ``hurry``.

    What cannot be prepared any more (a table has changed) is left to whoever uses it. Where it raises, the connection
    was lost or did not answer in time, and is ended.
    """
    known = max((other.known_statements() for other in others if not other.is_closed()), key=len, default=[])
    try:
        for query in known[: -STATEMENTS_MAX - 1 : -1]:
            if hurry():
                return
            await _prepare(connection, query)
    except BaseException:
        connection.terminate()
        raise


async def _prepare(connection: PooledConnection, query: str) -> None:
    try:
        await connection.prepare_ahead(query, PROBE_TIMEOUT_S)
    except asyncpg.PostgresError as error:
        if connection.is_closed():
            raise
        _logger.info("a statement was not prepared ahead: %s", describe(error))
