"""Find the HAProxy that serves already, so that a new one takes its listeners over and no connection is
refused.

Serve hands a running HAProxy over at a reload. It knows nothing of one that outlived its manager, nor of the
stand-in that the guard started: those are found by their admin sockets. Standard library only: the launcher
loads this file in a bare interpreter.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

ADMIN_SOCKET = re.compile(r"^\s*stats socket (\S+) ", re.MULTILINE)
_OWNER = "owner"
_ANSWER_S = 1.0


def admin_socket(config: str) -> Path:
    """Read the path of the admin socket in a configuration."""
    found = ADMIN_SOCKET.search(config)
    assert found is not None, "a hardened configuration names its admin socket"
    return Path(found[1])


def stand_in_socket(admin: Path) -> Path:
    """Name the admin socket of a stand-in; of the same length, for a socket's path has a bound."""
    return admin.with_name("b" + admin.name[1:])


def answering_pid(path: Path) -> int | None:
    """Ask on an admin socket which process answers; None where nobody does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ANSWER_S)
        try:
            client.connect(str(path))
            client.sendall(b"show info\n")
            answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        except OSError:
            return None
    found = re.search(r"^Pid: (\d+)$", answer, re.MULTILINE)
    return int(found[1]) if found else None


def claim(admin: Path, manager: int) -> None:
    """Note which manager owns the HAProxy of this folder."""
    (admin.parent / _OWNER).write_text(f"{manager} {_started(manager)}", encoding="utf-8")


def predecessors(admin: Path) -> Iterator[tuple[int, Path]]:
    """Give process id and admin socket of each HAProxy that a new one on `admin` replaces.

    In the same folder that is any; in the folders of other Ray nodes (an earlier run on this machine, or a
    second node on it) only one whose manager has gone.
    """
    for folder in sorted(admin.parent.parent.iterdir(), key=lambda folder: folder != admin.parent):
        if folder != admin.parent and not _is_orphaned(folder):
            continue
        for path in (folder / admin.name, stand_in_socket(folder / admin.name)):
            pid = answering_pid(path) if path.is_socket() else None
            if pid is not None:
                yield pid, path


def _is_orphaned(folder: Path) -> bool:
    try:
        pid, started = (folder / _OWNER).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    # Field 22, counted behind the name, which may hold spaces: with the id it names one process for good.
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return "gone"
