"""Three databases that the optimizer has never seen, each with rows and a workload."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

CUSTOMERS = 20_000
PRODUCTS = 5_000
STORES = 2_000
DAYS = 1_000
DEVICES = 10_000
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)

_ORDERS = """
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL,
    created_at timestamptz NOT NULL, total_minor bigint NOT NULL, note text NOT NULL
);
INSERT INTO orders (customer_id, status, created_at, total_minor, note)
SELECT (random() * {customers})::int, CASE WHEN random() < 0.005 THEN 'pending' WHEN random() < 0.1 THEN 'returned'
    ELSE 'shipped' END, timestamptz '2025-01-01' + n * interval '10 seconds', (random() * 100000)::bigint,
    repeat('n', 60)
FROM generate_series(1, {rows}) AS n;
"""

_STAR = """
CREATE TABLE products (id int PRIMARY KEY, brand int NOT NULL, category text NOT NULL);
CREATE TABLE stores (id int PRIMARY KEY, region int NOT NULL, name text NOT NULL);
CREATE TABLE sales (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, product_id int NOT NULL REFERENCES products,
    store_id int NOT NULL REFERENCES stores, day int NOT NULL, quantity int NOT NULL, amount_minor bigint NOT NULL
);
INSERT INTO products SELECT n, n / 10, 'category ' || n % 20 FROM generate_series(0, {products}) AS n;
INSERT INTO stores SELECT n, n / 50, 'store ' || n FROM generate_series(0, {stores}) AS n;
INSERT INTO sales (product_id, store_id, day, quantity, amount_minor)
SELECT (random() * {products})::int, (random() * {stores})::int, (random() * {days})::int, 1 + n % 5, n % 10000
FROM generate_series(1, {rows}) AS n;
"""

_LOG = """
CREATE TABLE readings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, device_id int NOT NULL, at timestamptz NOT NULL,
    kind text NOT NULL, payload text NOT NULL
);
INSERT INTO readings (device_id, at, kind, payload)
SELECT (random() * {devices})::int, timestamptz '2025-01-01' + n * interval '1 second', 'k' || n % 7,
    md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text)
FROM generate_series(1, {rows}) AS n;
CREATE INDEX readings_by_device_and_time ON readings (device_id, at);
CREATE INDEX readings_by_device ON readings (device_id);
CREATE INDEX readings_by_device_and_time_again ON readings (device_id, at);
CREATE INDEX readings_by_payload ON readings (payload, kind);
CREATE UNIQUE INDEX readings_once ON readings (id, at);
"""


@dataclass
class Latencies:
    """What calls took, in milliseconds, by the name of the statement."""

    times_ms: dict[str, list[float]] = field(default_factory=dict)

    async def time(self, name: str, call: Awaitable[object]) -> None:
        """Wait for a call and note its time."""
        begun = time.perf_counter()
        await call
        self.times_ms.setdefault(name, []).append((time.perf_counter() - begun) * 1000)


Step = Callable[[asyncpg.Connection, random.Random, Latencies], Awaitable[None]]


@dataclass(frozen=True)
class Schema:
    """A database: how it is made, and one step of its reads and of its writes."""

    name: str
    script: str
    read: Step
    write: Step

    async def create(self, server_url: Callable[[str], str], rows: int) -> str:
        """Make the database with so many rows and return its URL."""
        admin = await asyncpg.connect(server_url("postgres"))
        await admin.execute(f"DROP DATABASE IF EXISTS {self.name}")
        await admin.execute(f"CREATE DATABASE {self.name}")
        await admin.close()
        url = server_url(self.name)
        connection = await asyncpg.connect(url, command_timeout=1800)
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        sizes = {
            "rows": rows, "customers": CUSTOMERS, "products": PRODUCTS, "stores": STORES, "days": DAYS,
            "devices": DEVICES,
        }  # fmt: skip
        await connection.execute(self.script.format(**sizes))
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("SELECT pg_stat_statements_reset()")
        await connection.close()
        return url

    async def copy(self, server_url: Callable[[str], str]) -> str:
        """Copy the database as it is, statistics of its rows included, and return the copy's URL."""
        name = f"{self.name}_copy"
        admin = await asyncpg.connect(server_url("postgres"), command_timeout=1800)
        await admin.execute(f"DROP DATABASE IF EXISTS {name}")
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {self.name} STRATEGY file_copy")
        await admin.close()
        return server_url(name)


async def _read_orders(connection: asyncpg.Connection, rng: random.Random, seen: Latencies) -> None:
    customer = rng.randrange(CUSTOMERS)
    history = "SELECT id, created_at, total_minor FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20"
    await seen.time("history", connection.fetch(history, customer))
    queue = "SELECT id, customer_id, created_at FROM orders WHERE status = 'pending' ORDER BY created_at LIMIT 50"
    await seen.time("queue", connection.fetch(queue))


async def _write_orders(connection: asyncpg.Connection, rng: random.Random, seen: Latencies) -> None:
    insert = (
        "INSERT INTO orders (customer_id, status, created_at, total_minor, note) VALUES ($1, 'pending', now(), $2, $3)"
        " RETURNING id"
    )
    order = rng.randrange(CUSTOMERS), rng.randrange(100_000), "n" * 60
    await seen.time("insert", connection.fetchval(insert, *order))


async def _read_star(connection: asyncpg.Connection, rng: random.Random, seen: Latencies) -> None:
    brand = (
        "SELECT p.category, sum(s.amount_minor) FROM sales s JOIN products p ON p.id = s.product_id"
        " WHERE p.brand = $1 GROUP BY p.category"
    )
    await seen.time("brand", connection.fetch(brand, rng.randrange(PRODUCTS // 10)))
    store = "SELECT sum(amount_minor), count(*) FROM sales WHERE store_id = $1 AND day BETWEEN $2 AND $3"
    day = rng.randrange(DAYS - 30)
    await seen.time("store", connection.fetch(store, rng.randrange(STORES), day, day + 30))


async def _write_star(connection: asyncpg.Connection, rng: random.Random, seen: Latencies) -> None:
    insert = "INSERT INTO sales (product_id, store_id, day, quantity, amount_minor) VALUES ($1, $2, $3, 1, $4)"
    sale = rng.randrange(PRODUCTS), rng.randrange(STORES), DAYS, rng.randrange(10_000)
    await seen.time("insert", connection.execute(insert, *sale))


async def _read_log(connection: asyncpg.Connection, rng: random.Random, seen: Latencies) -> None:
    latest = "SELECT at, kind, payload FROM readings WHERE device_id = $1 ORDER BY at DESC LIMIT 10"
    await seen.time("latest", connection.fetch(latest, rng.randrange(DEVICES)))


async def _write_log(connection: asyncpg.Connection, rng: random.Random, seen: Latencies) -> None:
    count = 50
    rows = [rng.randrange(DEVICES) for _ in range(count)], [f"{rng.getrandbits(384):096x}" for _ in range(count)]
    insert = (
        "INSERT INTO readings (device_id, at, kind, payload) SELECT device, $3, 'k1', payload"
        " FROM unnest($1::int[], $2::text[]) AS row (device, payload)"
    )
    at = _BEGIN + timedelta(days=400, seconds=rng.randrange(1_000_000))
    await seen.time("insert", connection.execute(insert, *rows, at))


ORDERS = Schema("order_history", _ORDERS, _read_orders, _write_orders)
STAR = Schema("star_join", _STAR, _read_star, _write_star)
LOG = Schema("append_log", _LOG, _read_log, _write_log)


async def drive(url: str, step: Step, steps: int, name: str = "workload", seed: int = 7) -> Latencies:
    """Run so many steps on one connection and return what they took; the same seed sends the same values."""
    seen = Latencies()
    connection = await asyncpg.connect(url, server_settings={"application_name": name})
    rng = random.Random(seed)
    try:
        for _ in range(steps):
            await step(connection, rng, seen)
        # The counts of a session reach the server's statistics when it ends, or when it has been idle for a while.
    finally:
        await connection.close()
    return seen


class Traffic:
    """Work that goes on beside the optimizer, until it is stopped."""

    def __init__(self, url: str, step: Step, name: str, pause_s: float = 0.0) -> None:
        self._url = url
        self._step = step
        self._name = name
        self._pause_s = pause_s
        self._stop = asyncio.Event()
        self.seen = Latencies()

    async def run(self) -> None:
        """Work."""
        connection = await asyncpg.connect(self._url, server_settings={"application_name": self._name})
        rng = random.Random(self._name)
        try:
            while not self._stop.is_set():
                await self._step(connection, rng, self.seen)
                await asyncio.sleep(self._pause_s)
        finally:
            await connection.close()

    def stop(self) -> None:
        """Have it end after the step that it is in."""
        self._stop.set()
