"""A streaming replica of a test's PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

import asyncpg

from tests.support.ports import free_port
from tests.support.postgres import TestPostgres


class StreamingReplica(TestPostgres):
    """A copy of a server that runs, and follows it. Its name at the primary is ``name``."""

    def __init__(self, primary: TestPostgres, name: str = "replica") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="easypay-pg-"))
        self.port = free_port()
        self.name = name
        self._server = None
        self._account = primary._account
        self._settings = primary._settings
        self._give(self.folder)
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}"
        self._run("pg_basebackup", "-D", str(self.folder / "data"), "-d", source, "-R", "-X", "stream", "-c", "fast")

    async def ask(self, sql: str) -> object:
        """Run a statement of the superuser on it and return the first value."""
        connection = await asyncpg.connect(self.url(database="postgres"))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    async def replayed(self, lsn: str) -> None:
        """Wait until it has replayed all up to a position."""
        async with asyncio.timeout(20):
            while not await self.ask(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"):
                await asyncio.sleep(0.01)

    async def hold_up(self, rng: random.Random, done: asyncio.Event) -> None:
        """Pause replay for up to two seconds and let it go on for as long, again and again until ``done``."""
        connection = await asyncpg.connect(self.url(database="postgres"))
        while not done.is_set():
            for statement in ("SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()"):
                await connection.execute(statement)
                try:
                    await asyncio.wait_for(done.wait(), rng.uniform(0.2, 2.0))
                except TimeoutError:
                    continue
        await connection.execute("SELECT pg_wal_replay_resume()")
        await connection.close()
