"""Connects to the server of a URL that may be used: of several the first that fits, and never one that was replaced."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from actors.pool.servers.endpoints import Endpoint, endpoints, wants_primary
from actors.pool.servers.timeline import SEEN, STANDING, Standing, Timelines, standing


class NoPrimary(ConnectionError):
    """A server was reached, and it is a standby where a primary was asked for."""


class Replaced(ConnectionError):
    """A server was reached that another one has replaced: its timeline is lower than one that was seen."""


_FAULTS = (OSError, asyncpg.PostgresError, asyncpg.InternalClientError, asyncpg.InterfaceError)


async def dial(url: str, *, timelines: Timelines = SEEN, **options: Any) -> Any:
    """Connect to the first server of the URL that answers, fits ``target_session_attrs`` and was not replaced.

    ``options`` are those of ``asyncpg.connect``; the timeout is that of each server. Costs one statement beside the
    connection. Where several servers may be the primary, the first call of a process looks at all of them first: one
    that was replaced may have come back, and stand before its successor.

    Raises:
        NoPrimary, Replaced: no server would do; of the last one that was tried.
        OSError, asyncpg's errors: as above, where the last one could not be reached.
    """
    primary, servers = wants_primary(url), endpoints(url)
    names = frozenset(server.name for server in servers)
    if primary and len(servers) > 1 and not timelines.are_surveyed(names):
        await asyncio.gather(*(_look(url, server, timelines, options) for server in servers))
        timelines.surveyed(names)
    last: Exception | None = None
    for server in servers or (None,):
        try:
            return await _dial_one(url, server, primary, timelines, options)
        except asyncpg.ClientConfigurationError:
            raise
        except _FAULTS as error:
            last = error
    assert last is not None
    raise last


async def _look(url: str, server: Endpoint, timelines: Timelines, options: dict[str, Any]) -> None:
    """Take note of a server's timeline. One that does not answer cannot be asked; others will tell of it."""
    try:
        connection = await _dial_one(url, server, True, timelines, options)
    except _FAULTS:
        return
    connection.terminate()


async def _dial_one(
    url: str, server: Endpoint | None, primary: bool, timelines: Timelines, options: dict[str, Any]
) -> Any:
    place = {"host": server.host, "port": server.port} if server is not None else {}
    connection = await asyncpg.connect(url, **place, target_session_attrs="any", **options)
    try:
        _require(standing(await connection.fetchrow(STANDING)), primary, timelines)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _require(server: Standing, primary: bool, timelines: Timelines) -> None:
    if primary and server.in_recovery:
        raise NoPrimary("the server is a standby")
    # A standby is read: what it may answer is the router's to say.
    if not server.in_recovery and not timelines.admits(server):
        known = timelines.highest(server.system)
        raise Replaced(f"the server's timeline is {server.timeline}, and {known} was seen")
