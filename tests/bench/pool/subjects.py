"""What is compared: ways to run the same statements."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from typing import Any

import asyncpg

from actors.pool.actor import PoolManagerActor
from actors.pool.database import Database
from actors.pool.statement import BatchStatement

SELECT = "SELECT id, amount, note FROM bench_payments WHERE id = $1"
PAYMENT = "INSERT INTO bench_written (id, amount) VALUES ($1, $2)"
EVENT = "INSERT INTO bench_events (payment, what) VALUES ($1, $2)"
ROWS = 10_000
SCHEMA = f"""
    DROP TABLE IF EXISTS bench_payments, bench_written, bench_events;
    CREATE TABLE bench_payments (id bigint PRIMARY KEY, amount int NOT NULL, note text NOT NULL);
    CREATE TABLE bench_written (id bigint PRIMARY KEY, amount int NOT NULL);
    CREATE TABLE bench_events (payment bigint NOT NULL, what text NOT NULL);
    INSERT INTO bench_payments SELECT n, n, 'note ' || n FROM generate_series(1, {ROWS}) AS n;
    ANALYZE bench_payments;
"""
BOTH = BatchStatement[tuple[int, int], int](
    name="bench_both",
    sql="""
        WITH input AS (
            SELECT * FROM unnest($1::bigint[], $2::int[]) WITH ORDINALITY AS item (id, amount, ordinal)
        ), written AS (
            INSERT INTO bench_written (id, amount) SELECT id, amount FROM input RETURNING id
        ), told AS (
            INSERT INTO bench_events (payment, what) SELECT id, 'captured' FROM input
        )
        SELECT ordinal::int FROM input
    """,
    result=lambda record: int(record["ordinal"]),
    key=lambda row: row[0],
)

_ids = itertools.count(1)


class Subject(ABC):
    """A way to the database for ``clients`` callers at once."""

    name: str

    @abstractmethod
    async def open(self, clients: int) -> None: ...

    @abstractmethod
    async def select(self, client: int, id_: int) -> None: ...

    @abstractmethod
    async def write(self, client: int) -> None:
        """Insert two rows in one transaction."""

    @abstractmethod
    async def close(self) -> None: ...


async def write_both(connection: Any) -> None:
    """Run the transaction as everybody does by asyncpg."""
    id_ = next(_ids)
    async with connection.transaction():
        await connection.execute(PAYMENT, id_, 100)
        await connection.execute(EVENT, id_, "captured")


class Dedicated(Subject):
    """A connection for each client, made before: to the server itself, or to PgBouncer."""

    def __init__(self, name: str, url: str, *, prepares: bool = True) -> None:
        self.name = name
        self._url = url
        self._cache_size = 100 if prepares else 0
        self._connections: list[Any] = []

    async def open(self, clients: int) -> None:
        for _ in range(clients):
            self._connections.append(await asyncpg.connect(self._url, statement_cache_size=self._cache_size))

    async def select(self, client: int, id_: int) -> None:
        assert await self._connections[client].fetchrow(SELECT, id_) is not None

    async def write(self, client: int) -> None:
        await write_both(self._connections[client])

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()


class AsyncpgPool(Subject):
    """asyncpg's own pool."""

    def __init__(self, url: str, size: int) -> None:
        self.name = f"asyncpg.Pool of {size}"
        self._url, self._size = url, size
        self._pool: Any = None

    async def open(self, clients: int) -> None:
        self._pool = await asyncpg.create_pool(self._url, min_size=self._size, max_size=self._size)

    async def select(self, client: int, id_: int) -> None:
        assert await self._pool.fetchrow(SELECT, id_) is not None

    async def write(self, client: int) -> None:
        async with self._pool.acquire() as connection:
            await write_both(connection)

    async def close(self) -> None:
        await self._pool.close()


class Each(Subject):
    """A connection for each request."""

    name = "a connection per request"

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self, clients: int) -> None: ...

    async def select(self, client: int, id_: int) -> None:
        connection = await asyncpg.connect(self._url)
        assert await connection.fetchrow(SELECT, id_) is not None
        await connection.close()

    async def write(self, client: int) -> None:
        connection = await asyncpg.connect(self._url)
        await write_both(connection)
        await connection.close()

    async def close(self) -> None: ...


class Ours(Subject):
    """The pool on a lease, its transaction as it is, or by group commit as payments are written."""

    def __init__(self, url: str, size: int, *, grouped: bool) -> None:
        self.name = f"ours, {size} leased" + (", group commit" if grouped else "")
        self._url, self._size, self._grouped = url, size, grouped
        self._manager = PoolManagerActor("bench", lambda: url, size, name="bench")
        self.database: Database

    async def open(self, clients: int) -> None:
        self.database = await Database.open(
            self._url, name="bench", manager=self._manager, want=self._size, warm=self._size
        )
        self._committer = self.database.committer(BOTH, in_flight_max=4)

    async def select(self, client: int, id_: int) -> None:
        assert await self.database.fetchrow(SELECT, id_) is not None

    async def write(self, client: int) -> None:
        if self._grouped:
            await self._committer.submit((next(_ids), 100))
            return
        id_ = next(_ids)
        async with self.database.transaction() as connection:
            await connection.execute(PAYMENT, id_, 100)
            await connection.execute(EVENT, id_, "captured")

    async def close(self) -> None:
        await self.database.close()
        await self._manager.stop()


async def prepare(url: str) -> None:
    """Make the tables."""
    connection = await asyncpg.connect(url)
    await connection.execute(SCHEMA)
    await connection.close()
    await asyncio.sleep(0)
