"""The PostgreSQL server as the benchmark sees it: a database for the peer, and the server's own counters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

Result = TypeVar("Result")

# Both are exact at any moment. `xact_commit` of pg_stat_database is not: a backend reports it up to a second
# late, and also counts reads, which cost no flush. The position in the log is the whole server's, so what
# else writes counts too.
COUNTERS = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal_bytes,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS writes
"""
CAPTURED = "SELECT count(*) FROM payments WHERE status = 'captured'"


@dataclass(frozen=True, slots=True)
class Counters:
    """Hold the server's log position in bytes, its writing transactions, and one database's payments."""

    wal_bytes: int
    writes: int
    captured: int

    def since(self, earlier: Counters) -> Counters:
        """Return what was added since an earlier reading."""
        return Counters(
            self.wal_bytes - earlier.wal_bytes, self.writes - earlier.writes, self.captured - earlier.captured
        )


def read_counters(url: str) -> Counters:
    """Read the counters; counts the payments by a scan, so never inside a measured window."""

    async def read(connection: Any) -> Counters:
        row = await connection.fetchrow(COUNTERS)
        return Counters(row["wal_bytes"], row["writes"], await connection.fetchval(CAPTURED))

    return _with_connection(url, read)


def execute(url: str, sql: str, *arguments: Any) -> None:
    """Execute one statement, or more without parameters."""
    _with_connection(url, lambda connection: connection.execute(sql, *arguments))


def fetch_row(url: str, sql: str, *arguments: Any) -> Any:
    """Return the first row of a query."""
    return _with_connection(url, lambda connection: connection.fetchrow(sql, *arguments))


@contextmanager
def scratch_database(url: str, name: str, schema: str) -> Iterator[str]:
    """Make a database on the server of `url` and drop it at the end; yields its URL."""
    drop = f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
    execute(url, drop)
    execute(url, f'CREATE DATABASE "{name}"')
    try:
        scratch = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        execute(scratch, schema)
        yield scratch
    finally:
        execute(url, drop)


def _with_connection(url: str, use: Callable[[Any], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await use(connection)
        finally:
            await connection.close()

    return asyncio.run(run())
