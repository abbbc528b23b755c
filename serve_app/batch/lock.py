"""Lets one job of a kind run at a time on a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b

from actors.pool.connector import Connection, Connector


class JobRunning(Exception):
    """The same job runs already, here or on another machine; nothing was done."""

    def __init__(self, job: str) -> None:
        super().__init__(job)
        self.job = job

    def __str__(self) -> str:
        return f"another {self.job} job is running on this database"


@asynccontextmanager
async def exclusive(database_url: str, job: str) -> AsyncIterator[None]:
    """Hold the job's lock while the block runs. The lock is the session's, so it goes with a process that is killed.

    The session is idle between its two statements: it holds no snapshot and no transaction open.

    Raises:
        JobRunning: another one has it.
        Unavailable: the database cannot be reached.
    """
    key = int.from_bytes(blake2b(job.encode(), digest_size=8, person=b"easypay-job").digest(), "big", signed=True)
    connection: Connection = await Connector(database_url).connect(f"easypay-job-{job}")
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
            raise JobRunning(job)
        yield
    finally:
        connection.terminate()
