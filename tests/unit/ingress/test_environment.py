"""The variables and files that Serve's ingress is started with."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from cluster.ingress import IngressPorts, environment

# A Unix socket's address holds 107 bytes; HAProxy binds under a name with the process id behind.
SOCKET_BYTES_MAX = 107


def _socket(names: dict[str, str]) -> str:
    folder, name = os.path.split(names["RAY_SERVE_HAPROXY_SOCKET_PATH"])
    return f"{folder}/{'0' * 56}/{name}.4194304.tmp"


@pytest.mark.parametrize("depth", [0, 10])
def test_the_admin_socket_fits(tmp_path: Path, depth: int) -> None:
    """However deep the run folder lies, the path of the socket with the node's id in it fits."""
    run_dir = tmp_path.joinpath(*["deeper"] * depth)
    assert len(_socket(environment(run_dir, IngressPorts()))) <= SOCKET_BYTES_MAX


def test_the_folders_are_private(tmp_path: Path) -> None:
    """Nobody else can read the run folder or the folder of the sockets."""
    names = environment(tmp_path / "run", IngressPorts())
    for folder in (tmp_path / "run", Path(names["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_two_run_folders_share_nothing(tmp_path: Path) -> None:
    """Gateways side by side have files and sockets of their own."""
    first, second = (environment(tmp_path / name, IngressPorts()) for name in ("a", "b"))
    paths = [name for name, value in first.items() if "/" in value]
    assert len(paths) >= 5
    assert all(first[name] != second[name] for name in paths)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    """A link that somebody laid in the place of the run's socket folder is not followed."""
    run_dir = tmp_path / "run"
    names = environment(run_dir, IngressPorts())
    folder = Path(names["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent
    folder.rmdir()
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(PermissionError):
            environment(run_dir, IngressPorts())
    finally:
        folder.unlink()


def test_the_launcher_runs(tmp_path: Path) -> None:
    """The executable that Serve is given is HAProxy to whoever calls it, from any folder."""
    names = environment(tmp_path / "with a space", IngressPorts())
    command = [names["RAY_SERVE_HAPROXY_BINARY_PATH"], "-v"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
    assert answer.stdout.startswith("HAProxy version")
