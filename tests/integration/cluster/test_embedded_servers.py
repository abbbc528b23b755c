"""PostgreSQL and Redis as children of a supervisor, on real data."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import redis.asyncio

from cluster.data_dir import DataDir
from cluster.embedded.account import open_way, servers_account
from cluster.embedded.postgres import EmbeddedPostgres
from cluster.embedded.postgres_config import CONNECTIONS_FREE
from cluster.embedded.postgres_roles import Role
from cluster.embedded.redis import EmbeddedRedis
from cluster.instance import marks
from cluster.ports import PortBook
from cluster.processes import Processes
from tests.support.diary import Diary

BUDGET = 7


@dataclass
class Servers:
    """Both servers while they run."""

    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    processes: Processes
    diary: Diary

    async def kill(self, name: str) -> None:
        """Kill one of them and wait until both serve again."""
        times = self.diary.entries.count("all ready")
        os.kill(self.processes.pids()[name], signal.SIGKILL)
        await self.diary.wait_for("all ready", times + 1)


@pytest.fixture
def data() -> Iterator[DataDir]:
    """Make a data directory that is closed to others, below a folder that is closed as well."""
    with tempfile.TemporaryDirectory() as top:
        data = DataDir(Path(top) / "data")
        data.create()
        yield data


@asynccontextmanager
async def running(data: DataDir) -> AsyncIterator[Servers]:
    """Run both servers on a data directory."""
    account = servers_account()
    if account is not None:
        open_way(data.path, account, lambda _: None)
    book = PortBook(data.ports_file)
    mark = marks(data.instance, "test")
    postgres = EmbeddedPostgres(data, port=book.port("postgres"), connections=BUDGET, account=account, marks=mark)
    cache = EmbeddedRedis(data, port=book.port("redis"), account=account, marks=mark)
    diary = Diary()
    processes = Processes([postgres, cache], diary)
    task = asyncio.create_task(processes.run())
    try:
        await diary.wait_for("all ready")
        yield Servers(postgres, cache, processes, diary)
    finally:
        processes.stop()
        assert await task is None


async def test_data_and_urls_survive_kills_and_a_restart(data: DataDir) -> None:
    """What was committed is there after SIGKILL and after an orderly stop, under the same URL and password."""
    async with running(data) as servers:
        url, cache_url = servers.postgres.url(Role.OWNER), servers.redis.url
        await execute(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (42)")
        await servers.kill("postgres")
        assert await value(url, "SELECT n FROM kept") == 42
        async with redis.asyncio.Redis.from_url(cache_url) as client:
            await client.xadd("journal", {"p": "acknowledged"}, id="1-1")
        await servers.kill("redis")
        async with redis.asyncio.Redis.from_url(cache_url) as client:
            assert await client.xlen("journal") == 1
            await client.set("key", "value")
    async with running(data) as servers:
        assert (servers.postgres.url(Role.OWNER), servers.redis.url) == (url, cache_url)
        assert await value(url, "SELECT n FROM kept") == 42
        async with redis.asyncio.Redis.from_url(cache_url) as client:
            assert await client.get("key") == b"value"
            assert await client.xrange("journal") == [(b"1-1", {b"p": b"acknowledged"})]


async def test_the_server_is_set_up_for_payments_and_roles_can_do_what_they_are_for(data: DataDir) -> None:
    """Durable, measured, with room for others; the owner makes tables and databases, the gateway's role does not."""
    async with running(data) as servers:
        owner, app = servers.postgres.url(Role.OWNER), servers.postgres.url(Role.APP, by_socket=True)
        expected = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on"}
        expected |= {"password_encryption": "scram-sha-256", "listen_addresses": "127.0.0.1", "TimeZone": "UTC"}
        for name, wanted in expected.items():
            assert await value(app, f"SHOW {name}") == wanted, name
        assert int(await value(app, "SHOW max_connections")) >= BUDGET + CONNECTIONS_FREE + 5
        assert await value(app, "SELECT count(*) >= 0 FROM pg_stat_statements") is True
        await execute(owner, "CREATE DATABASE another", "CREATE TABLE t (n int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(app, "CREATE TABLE mine (n int)")
        assert await value(app, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False


async def test_nobody_gets_in_without_a_password(data: DataDir) -> None:
    """Loopback is no proof of identity, for either server."""
    async with running(data) as servers:
        wrong = servers.postgres.url(Role.APP).replace(data.secrets.read()["postgres_app"], "wrong")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await value(wrong, "SELECT 1")
        async with redis.asyncio.Redis.from_url(servers.redis.url.replace(data.secrets.read()["redis"], "x")) as client:
            with pytest.raises(redis.exceptions.AuthenticationError):
                await client.ping()


async def test_secrets_are_on_no_command_line_and_in_no_open_file(data: DataDir) -> None:
    """Other users of the machine see processes and, if they look, files."""
    async with running(data) as servers:
        secrets = data.secrets.read().values()
        for pid in servers.processes.pids().values():
            words = " ".join(psutil.Process(pid).cmdline())
            assert not any(secret in words for secret in secrets)
        for path in (*data.path.glob("*"), *data.postgres.glob("*"), *data.redis.glob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o066 == 0, path


async def test_a_server_that_outlived_its_launcher_does_not_block_the_next_start(data: DataDir) -> None:
    """Sessions of a postmaster that was killed, and a whole server, are ended before a new one starts."""
    async with running(data) as servers:
        launch = await servers.postgres.prepare()
        command = list(launch.command)
    account: dict[str, Any] = (
        {"user": launch.account.uid, "group": launch.account.gid, "extra_groups": []} if launch.account else {}
    )
    orphan = await asyncio.create_subprocess_exec(
        *command,
        env=dict(launch.environment),
        **account,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with running(data) as servers:
        assert orphan.pid not in servers.processes.pids().values()
        assert await value(servers.postgres.url(Role.OWNER), "SELECT 1") == 1
        async with asyncio.timeout(10):
            await orphan.wait()


async def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def value(url: str, query: str) -> Any:
    """Return the one value of a query."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
