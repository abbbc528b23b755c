"""The data directory of one gateway: where everything lies, who may see it, and who runs on it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cluster.private_file import SecretsFile, write_private
from cluster.spawning import Account

DATA_DIR_VARIABLE = "EASYPAY_DATA_DIR"

# The longest path of a Unix socket, less its closing zero byte.
_SOCKET_PATH_BYTES_MAX = 107


class DataDirError(Exception):
    """The data directory cannot be used; the text says why and is fit to show."""


class AlreadyRunning(DataDirError):
    """Another launcher runs on this data directory."""

    def __init__(self, directory: Path, pid: str) -> None:
        super().__init__(directory, pid)
        self.pid = pid

    def __str__(self) -> str:
        directory = self.args[0]
        return (
            f"a gateway already runs on {directory} (process {self.pid}); stop it with"
            f" `easypay down --data-dir {directory}` or choose another --data-dir"
        )


class DataDir:
    """Give the paths of one data directory. Nobody but its user can read anything in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.run = self.path / "run"
        self.logs = self.path / "logs"
        self.postgres = self.path / "postgres"
        self.postgres_primary_file = self.path / "postgres_primary"
        self.redis = self.path / "redis"
        self.programs = self.path / "programs"
        self.lock_file = self.run / "lock"
        self.state_file = self.run / "state.json"
        self.settings_file = self.run / "settings.json"
        self.ports_file = self.path / "ports.json"
        self.instance_file = self.path / "instance"
        self.ray_token_file = self.path / "ray_token"
        # Folders of sockets that had to lie elsewhere, for their paths would be too long here.
        self.elsewhere: set[Path] = set()
        self.secrets = SecretsFile(self.path / "secrets.json")

    def create(self) -> None:
        """Make what is missing, with mode 0700; raise DataDirError where that is not possible."""
        try:
            for folder in (self.path, self.run, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _require_owner(folder, os.getuid())
                # Others keep the right to pass through, where an embedded server's user was given it.
                folder.chmod(0o700 | (folder.stat().st_mode & 0o011))
            if not self.instance_file.exists():
                write_private(self.instance_file, secrets.token_hex(8))
            if not self.ray_token_file.exists():
                write_private(self.ray_token_file, secrets.token_hex(32))
        except OSError as error:
            raise DataDirError(f"cannot use {self.path} as data directory: {error}") from error

    @property
    def instance(self) -> str:
        """The id that all processes of this gateway carry; the same in every run. Empty before `create`."""
        return self.instance_file.read_text(encoding="utf-8") if self.instance_file.exists() else ""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one launcher; raise AlreadyRunning at once where another one holds it.

        The lock is the kernel's: it goes with the process that held it, however that ended. So none is ever stale.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(self.path, os.read(descriptor, 32).decode() or "unknown") from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def holder(self) -> psutil.Process | None:
        """Return the launcher that holds the directory, if there is one."""
        try:
            pid = int(self.lock_file.read_text(encoding="utf-8"))
            process = psutil.Process(pid)
            # The number in the file may be left over from a launcher that was killed, and long be another's.
            held = any(file.path == str(self.lock_file.resolve()) for file in process.open_files())
        except (OSError, ValueError, psutil.Error):
            return None
        return process if held else None

    def short_folder(self, name: str, *, below: int, account: Account | None = None) -> Path:
        """Return a folder of mode 0700, the account's or ours, whose path leaves `below` bytes for sockets in it.

        In the data directory where that is short enough, else in the system's folder for temporary files.
        """
        folder = self.path / name
        if len(os.fsencode(folder)) + below > _SOCKET_PATH_BYTES_MAX:
            digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:10]
            parents = (Path(tempfile.gettempdir()), Path("/tmp"))
            candidates = (parent / f"easypay-{digest}-{name}" for parent in parents)
            folder = min(candidates, key=lambda path: len(os.fsencode(path)))
            self.elsewhere.add(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account is not None and folder.lstat().st_uid == os.getuid():
            os.chown(folder, account.uid, account.gid, follow_symlinks=False)
        # Somebody else could have made it first in a shared folder.
        _require_owner(folder, os.getuid() if account is None else account.uid)
        return folder


def default_data_dir() -> Path:
    """Return the directory that $EASYPAY_DATA_DIR names, else `.easypay` here.

    Beneath the working directory, as `.venv` is: two checkouts do not share a database by accident, and whoever
    removes the folder has removed everything.
    """
    return Path(os.environ.get(DATA_DIR_VARIABLE) or ".easypay")


def _require_owner(folder: Path, uid: int) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid:
        raise DataDirError(f"{folder} is not a folder of the user that it should belong to")
