"""Where an export reads: on a replica that has everything, and nowhere else than on the primary without one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from cluster.composition import compose
from cluster.jobs.export import _read
from cluster.settings import read_environment
from serve_app.exports.repository import ExportRepository
from tests.support.ports import free_port
from tests.support.postgres import TestPostgres
from tests.support.streaming_replica import StreamingReplica


async def _port(repository: ExportRepository) -> int:
    rows = await repository._database.fetch("SELECT inet_server_port() AS port")
    return int(rows[0]["port"])


async def _reads_at(primary: TestPostgres, *replica_urls: str, days_ahead: int = 0) -> int:
    """Return the port of the server on which work was done that needs everything until a day."""
    settings = read_environment(
        database_url=primary.url(database="postgres"),
        database_replica_urls=",".join(replica_urls),
        api_key_pepper="a pepper for tests, long enough for it",
    )
    until = datetime.now(UTC).date() + timedelta(days=days_ahead)
    return await _read(_port, settings, compose(settings), "test", leased=False, number=0, until=until, page=10)


async def test_a_replica_that_has_everything_is_read(primary: TestPostgres, replica: StreamingReplica) -> None:
    """Also where another one before it is gone, and where the primary stands among the replicas."""
    gone = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
    url = replica.url(database="postgres")
    assert await _reads_at(primary, url) == replica.port
    assert await _reads_at(primary, gone, primary.url(database="postgres"), url) == replica.port


@pytest.mark.usefixtures("admin")
async def test_without_a_replica_that_may_be_read_it_is_the_primary(
    primary: TestPostgres, replica: StreamingReplica
) -> None:
    """None is there, or it is gone, or it lacks something."""
    gone = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
    assert await _reads_at(primary) == primary.port
    assert await _reads_at(primary, gone) == primary.port
    await replica.ask("SELECT pg_wal_replay_pause()")
    try:
        await _write(primary, replica)
        assert await _reads_at(primary, replica.url(database="postgres"), days_ahead=1) == primary.port
    finally:
        await replica.ask("SELECT pg_wal_replay_resume()")


async def _write(primary: TestPostgres, replica: StreamingReplica) -> None:
    """Have the replica receive what it does not replay."""
    connection = await asyncpg.connect(primary.url(database="postgres"))
    await connection.execute("CREATE TABLE IF NOT EXISTS unread (n int)")
    await connection.close()
    async with asyncio.timeout(20):
        while not await replica.ask("SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"):
            await asyncio.sleep(0.02)
