"""A PgBouncer in transaction mode, where the machine has one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.ports import free_port

_CONFIG = """\
[databases]
* = user=postgres host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 2000
{prepared}
ignore_startup_parameters = extra_float_digits, jit
logfile = {folder}/log
user = {user}
"""
_START_WITHIN_S = 10.0
_ACCOUNT = "nobody"


class PgBouncer:
    """One PgBouncer before a server that trusts everybody."""

    def __init__(self, server_port: int, size: int) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="easypay-pgb-"))
        self._config = _CONFIG.format(
            server_port=server_port,
            port=self.port,
            size=size,
            folder=self._folder,
            user=_ACCOUNT,
            prepared="max_prepared_statements = 200" if self.keeps_statements() else "",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_installed() -> bool:
        """Tell whether there is one (`apt-get install pgbouncer`)."""
        return Path(_program()).exists()

    @staticmethod
    def keeps_statements() -> bool:
        """Tell whether it knows prepared statements in transaction mode: from 1.21 on. Else its clients use none."""
        told = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True).stdout
        major, minor = (int(part) for part in told.split()[1].split(".")[:2])
        return (major, minor) >= (1, 21)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        # Started by root it becomes another account, which writes the log.
        self._folder.chmod(0o777)
        file = self._folder / "pgbouncer.ini"
        file.write_text(self._config)
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen([_program(), str(file)], stdout=output, stderr=output)
        give_up = time.monotonic() + _START_WITHIN_S
        while not _listens(self.port):
            assert self._process.poll() is None, (self._folder / "output").read_text()
            assert time.monotonic() < give_up, "PgBouncer did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it and delete its files."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
        shutil.rmtree(self._folder, ignore_errors=True)


def _program() -> str:
    return shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
