"""The table of clusters in PostgreSQL."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

from actors.pool.clusters.membership import LEASE_S, Beat, Member
from actors.pool.connector import Connection, Connector
from actors.runtime.errors import Unavailable

_RESOURCE = "the table of clusters"
_APPLICATION_NAME = "easypay-clusters"
_COMMAND_TIMEOUT_S = 3.0
# A process that stands still in the middle of its turn keeps the others from theirs for no longer.
_SETTINGS = {"idle_in_transaction_session_timeout": "2000", "lock_timeout": "2500"}
_TURN = 0x65617379636C73
"""Key of the advisory lock of a turn: what is decided rests on all rows."""
_NAMES = 0x65636C73
"""The advisory locks of sessions that speak for a name: this, and the hash of the name."""

_TAKE_TURN = "SELECT pg_advisory_xact_lock($1)"
_COLUMNS = """
    name, id::text AS life, joined, acknowledged, held, budget, reign,
    extract(epoch FROM clock_timestamp() - seen_at)::float8 AS silent_s, seen_at::text AS seen
"""
_READ = f"SELECT {_COLUMNS} FROM clusters ORDER BY joined"
_NUMBER = "UPDATE cluster_numbers SET last = last + 1 RETURNING last"
_JOIN = f"""
INSERT INTO clusters (name, id, joined, budget) VALUES ($1, $2::text::uuid, $3, $4)
RETURNING {_COLUMNS}
"""
_BEAT = f"""
UPDATE clusters SET id = $2::text::uuid, seen_at = clock_timestamp(), budget = $3, held = $4, acknowledged = $5,
    reign = CASE WHEN $6 THEN coalesce(reign, $7) END
WHERE name = $1
RETURNING {_COLUMNS}
"""
# One that has beaten since its connections were ended is not dead, or may have some again.
_REMOVE = f"""
DELETE FROM clusters
WHERE name = $1 AND joined = $2 AND seen_at::text = $3 AND seen_at < clock_timestamp() - interval '{LEASE_S:g} seconds'
RETURNING name
"""
_SPEAK = "SELECT pg_try_advisory_lock($1, hashtext($2))"
_IS_DEAD = f"""
SELECT EXISTS (
    SELECT FROM clusters WHERE name = $1 AND seen_at < clock_timestamp() - interval '{LEASE_S:g} seconds'
)
"""
_END_SPEAKER = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = $1::bigint::oid
  AND objid = (hashtext($2)::bigint & 4294967295)::oid AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_END_CONNECTIONS = """
SELECT count(*) FILTER (WHERE NOT pg_terminate_backend(pid, 2000))
FROM pg_stat_activity WHERE starts_with(application_name, $1 || '/')
"""
_SIGN_OFF = "DELETE FROM clusters WHERE name = $1"

_logger = logging.getLogger(__name__)

Decide = Callable[[Sequence[Member]], Beat]


class Register(Protocol):
    """The table as the keeper uses it. Calls raise ``Unavailable`` and errors of the driver; all may be repeated."""

    async def beat(self, decide: Decide) -> list[Member]:
        """Store what is decided on the table as it is; return the table as it is then."""
        ...

    async def remove(self, member: Member) -> bool:
        """Remove a cluster of which no connection is left, unless it has come back."""
        ...

    async def close(self) -> None:
        """End the session."""
        ...


class StoredRegister:
    """The table as one cluster speaks in it, by one session. Of two that have the same name one alone speaks: the lock
    of the name goes with the process that holds it, so that the next life need not wait."""

    def __init__(self, database_url: Callable[[], str], name: str) -> None:
        self._database_url = database_url
        self._name = name
        self._life = str(uuid.uuid4())
        self._connection: Connection | None = None

    async def beat(self, decide: Decide) -> list[Member]:
        """Decide and store in one turn. Raises ``Unavailable`` where another process speaks for the name."""
        connection = await self._session()
        try:
            async with connection.transaction():
                await connection.execute(_TAKE_TURN, _TURN)
                members = [Member(*row) for row in await connection.fetch(_READ)]
                own = await self._store(connection, decide(members), members)
        except BaseException:
            await self.close()
            raise
        return [*(each for each in members if each.name != own.name), own]

    async def remove(self, member: Member) -> bool:
        """Remove a cluster, unless it has beaten; return whether it is removed."""
        connection = await self._session()
        try:
            async with connection.transaction():
                await connection.execute(_TAKE_TURN, _TURN)
                removed = await connection.fetchval(_REMOVE, member.name, member.joined, member.seen) is not None
            if removed:
                # The session of a machine that is gone would keep its name for as long as the network hides that.
                await connection.execute(_END_SPEAKER, _NAMES, member.name)
        except BaseException:
            await self.close()
            raise
        return removed

    async def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _store(self, connection: Connection, beat: Beat, members: Sequence[Member]) -> Member:
        if beat.is_new:
            joined = await connection.fetchval(_NUMBER)
            return Member(*await connection.fetchrow(_JOIN, self._name, self._life, joined, beat.budget))
        own = next(each for each in members if each.name == self._name)
        reign = await connection.fetchval(_NUMBER) if beat.alone and own.reign is None else None
        arguments = (beat.budget, beat.held, beat.acknowledged, beat.alone, reign)
        return Member(*await connection.fetchrow(_BEAT, self._name, self._life, *arguments))

    async def _session(self) -> Connection:
        """Return the session that speaks for the name."""
        if self._connection is None or self._connection.is_closed():
            connector = Connector(self._database_url(), command_timeout_s=_COMMAND_TIMEOUT_S, settings=_SETTINGS)
            connection: Connection = await connector.connect(_APPLICATION_NAME)
            try:
                await self._speak(connection)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    async def _speak(self, connection: Connection) -> None:
        if await connection.fetchval(_SPEAK, _NAMES, self._name):
            return
        if await connection.fetchval(_IS_DEAD, self._name):
            await connection.execute(_END_SPEAKER, _NAMES, self._name)
        if not await connection.fetchval(_SPEAK, _NAMES, self._name):
            raise Unavailable(_RESOURCE, f"another process speaks for {self._name}", 1.0)


async def sign_off(database_url: str, name: str) -> bool:
    """Have the others know at once that a cluster is down, all of its processes; return whether that was done.

    Raises ``Unavailable`` and the driver's errors; they find it out by themselves then. Safe to repeat.
    """
    connection: Connection = await Connector(database_url, command_timeout_s=_COMMAND_TIMEOUT_S).connect(
        _APPLICATION_NAME
    )
    try:
        if await connection.fetchval(_END_CONNECTIONS, name) > 0:
            return False
        async with connection.transaction():
            await connection.execute(_TAKE_TURN, _TURN)
            await connection.execute(_SIGN_OFF, name)
        return True
    finally:
        connection.terminate()
