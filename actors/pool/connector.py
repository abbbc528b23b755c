"""Makes connections to PostgreSQL, all with the same guards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg

from actors.pool.faults import RESOURCE, RETRY_AFTER_S, describe
from actors.pool.servers.dial import dial
from actors.runtime.errors import Unavailable

Connection: TypeAlias = asyncpg.Connection
"""asyncpg ships no types; the alias says what is meant."""

APPLICATION_NAME_MAX = 63
"""PostgreSQL cuts longer names off (NAMEDATALEN - 1), and by the name connections are ended."""


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that knows when its making began, when it has to go, and its last use, on the loop's clock."""

    __slots__ = ("born", "lent_at", "retire_at", "used_at")

    def known_statements(self) -> list[str]:
        """Return the statements that this connection has prepared, the one used longest ago first."""
        return [statement.query for statement in self._stmt_cache.iter_statements()]

    async def prepare_ahead(self, query: str, timeout_s: float) -> None:
        """Prepare a statement so that its first use finds it: ``prepare`` makes one that ``fetch`` would not find."""
        await self._get_statement(query, timeout_s)


@dataclass(frozen=True, slots=True)
class Connector:
    """Where to connect, and the guards that every connection gets.

    A URL of several servers leads to the first that fits its ``target_session_attrs``; to a server that another one has
    replaced no URL does.
    """

    url: str
    connect_timeout_s: float = 3.0
    # A statement of ours takes milliseconds. This one is for what hangs: a lock, a half-open connection.
    command_timeout_s: float = 10.0
    # The server asks during a statement whether its client is still there: the work of a dead process ends, and with it
    # its locks and its connection. Linux, macOS and the BSDs, from PostgreSQL 14 on.
    client_check_s: float = 0.5
    # A client that stopped in the middle of a transaction must not keep its row locks.
    idle_in_transaction_s: float = 30.0
    # The server's settings for these connections beside those below.
    settings: Mapping[str, str] = field(default_factory=dict)

    async def connect(self, application_name: str) -> PooledConnection:
        """Make a connection whose name at the server is ``application_name``.

        Raises ``Unavailable`` where none can be made: nothing was done.
        """
        assert 0 < len(application_name.encode()) <= APPLICATION_NAME_MAX, application_name
        try:
            connection: PooledConnection = await dial(
                self.url,
                timeout=self.connect_timeout_s,
                command_timeout=self.command_timeout_s,
                connection_class=PooledConnection,
                # The statements of one process are few and fixed, some of them long: keep each for ever.
                statement_cache_size=1000,
                max_cached_statement_lifetime=0,
                max_cacheable_statement_size=0,
                server_settings=self._server_settings(application_name),
            )
            return connection
        except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError, asyncpg.InterfaceError) as error:
            if isinstance(error, asyncpg.ClientConfigurationError):
                raise
            raise Unavailable(RESOURCE, f"cannot connect: {describe(error)}", RETRY_AFTER_S) from error

    def _server_settings(self, application_name: str) -> dict[str, Any]:
        return {
            "application_name": application_name,
            # Arrays of unknown length make the planner expect many rows, and compiling costs more than they do.
            "jit": "off",
            "client_connection_check_interval": str(int(self.client_check_s * 1000)),
            "idle_in_transaction_session_timeout": str(int(self.idle_in_transaction_s * 1000)),
            # A little later than the client gives up: its cancel request comes first, this is for where it is lost.
            "statement_timeout": str(int(self.command_timeout_s * 1000) + 2000),
            **self.settings,
        }
