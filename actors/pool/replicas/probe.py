"""Looks at one server, again and again, on a connection of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from actors.pool.faults import RESOURCE, RETRY_AFTER_S, describe
from actors.pool.servers.endpoints import Endpoint
from actors.pool.servers.timeline import STANDING, Standing, standing
from actors.runtime.errors import Unavailable

TIMEOUT_S = 1.0
_APPLICATION_NAME = "easypay-replica-monitor"


class Probe:
    """Asks a server where it stands. It dials a standby, a primary and one that was replaced alike."""

    def __init__(self, url: str, server: Endpoint | None, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._place = {"host": server.host, "port": server.port} if server is not None else {}
        self._timeout_s = timeout_s
        self._connection: Any = None

    async def look(self) -> Standing:
        """Return where it stands. Raises ``Unavailable`` where it does not answer in time; the next look dials anew."""
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        self._url,
                        **self._place,
                        target_session_attrs="any",
                        server_settings={"application_name": _APPLICATION_NAME},
                    )
                return standing(await self._connection.fetchrow(STANDING))
        except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError, asyncpg.InterfaceError) as error:
            self.close()
            raise Unavailable(RESOURCE, describe(error), RETRY_AFTER_S) from error

    def close(self) -> None:
        """Cut the connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
