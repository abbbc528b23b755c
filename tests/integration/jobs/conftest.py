"""A database of its own for each test of the jobs: they work on all that a database has."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from actors.pool.database import Database
from tests.support.generated import generate_payments
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.started import started

_numbers = itertools.count(1)
_TEMPLATE = "easypay"
_REACHED_WITHIN_S = 60.0
PEPPER = "a pepper for tests, not a secret!"
MERCHANTS = [UUID(int=(0x019B << 112) | (7 << 76) | (2 << 62) | number) for number in range(1, 8)]
"""The same in every database, so that what two of them come to can be compared."""


class CountingMeter:
    """Remembers the steps and counts their items."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.items = 0

    def begin(self, step: str, total: int | None = None) -> None:
        self.steps.append(step)

    def advance(self, items: int) -> None:
        self.items += items


@dataclass
class JobDatabase:
    """One database: as its owner who may plant anything, and as the gateway's role."""

    server: TestPostgres
    name: str
    meter: CountingMeter = field(default_factory=CountingMeter)

    @property
    def url(self) -> str:
        """The owner's URL."""
        return self.server.url(database=self.name)

    async def generate(self, count: int, **options: Any) -> None:
        """Fill it with payments of the merchants that every such database has."""
        await generate_payments(self.url, count, **{"merchants": MERCHANTS, **options})

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Run a query as the owner."""
        connection = await asyncpg.connect(self.url)
        try:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows
        finally:
            await connection.close()

    async def plant(self, sql: str) -> Any:
        """Change what no role may change, behind the back of every trigger; return the first value."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute("SET session_replication_role = replica")
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Database]:
        """Open it as a job does."""
        url = self.server.url(APP_ROLE, self.name)
        database = await Database.open(url, name="test-job", manager=None, want=2)
        try:
            yield database
        finally:
            await database.close()

    def start(self, job: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a job as a process, without a gateway."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "EASYPAY_"))}
        environment |= {
            "DATABASE_URL": self.server.url(APP_ROLE, self.name),
            "API_KEY_PEPPER": PEPPER,
            "CACHE_SHARDS": "0",
        }
        return subprocess.Popen(
            [sys.executable, "-m", f"cluster.jobs.{job}", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    async def kill_once(self, reached: str, job: str, *arguments: str) -> None:
        """Start a job and send it SIGKILL as soon as a query says true; it must not have ended by itself."""
        process = self.start(job, *arguments)
        connection = await asyncpg.connect(self.url)
        try:
            async with asyncio.timeout(_REACHED_WITHIN_S):
                while not await connection.fetchval(reached):
                    assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)
            await connection.close()
        assert process.returncode == -signal.SIGKILL
        # Its sessions end when the server notices, and the lock with them.
        connection = await asyncpg.connect(self.url)
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        async with asyncio.timeout(_REACHED_WITHIN_S):
            while await connection.fetchval(others):
                pass
        await connection.close()


@pytest.fixture(scope="module")
def server() -> Iterator[TestPostgres]:
    """Run a server whose database `easypay` is the template of each test's own."""
    with started(TestPostgres()) as server:
        asyncio.run(server.create_schema())
        yield server


async def _new(server: TestPostgres) -> JobDatabase:
    name = f"jobs_{next(_numbers)}"
    connection = await asyncpg.connect(server.url(database="postgres"))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    await connection.close()
    return JobDatabase(server, name)


@pytest.fixture
async def books(server: TestPostgres) -> JobDatabase:
    """Return an empty database."""
    return await _new(server)


@pytest.fixture
async def twin(server: TestPostgres) -> JobDatabase:
    """Return another empty database."""
    return await _new(server)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def plain(rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return rows as tuples, to compare them."""
    return [tuple(row) for row in rows]
