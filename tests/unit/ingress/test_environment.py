"""The variables and files that Serve's ingress is started with."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.ingress import IngressPorts, environment

# A Unix socket's address holds 107 bytes; HAProxy binds under a name with the process id behind.
SOCKET_BYTES_MAX = 107

Prepare = Callable[[Path], dict[str, str]]


@pytest.fixture
def prepare() -> Iterator[Prepare]:
    """Give `environment` with default ports; folders that it makes outside of the run folder are removed
    again."""
    folders: set[Path] = set()

    def call(run_dir: Path) -> dict[str, str]:
        names = environment(run_dir, IngressPorts())
        folders.add(Path(names["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent)
        return names

    yield call
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _socket(names: dict[str, str]) -> str:
    folder, name = os.path.split(names["RAY_SERVE_HAPROXY_SOCKET_PATH"])
    return f"{folder}/{'0' * 56}/{name}.4194304.tmp"


@pytest.mark.parametrize("depth", [0, 10])
def test_the_admin_socket_fits(tmp_path: Path, depth: int, prepare: Prepare) -> None:
    """However deep the run folder lies, the path of the socket with the node's id in it fits."""
    run_dir = tmp_path.joinpath(*["deeper"] * depth)
    assert len(_socket(prepare(run_dir))) <= SOCKET_BYTES_MAX


def test_the_folders_are_private(tmp_path: Path, prepare: Prepare) -> None:
    """Nobody else can read the run folder or the folder of the sockets."""
    names = prepare(tmp_path / "run")
    for folder in (tmp_path / "run", Path(names["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_two_run_folders_share_nothing(tmp_path: Path, prepare: Prepare) -> None:
    """Gateways side by side have files and sockets of their own."""
    first, second = (prepare(tmp_path / name) for name in ("a", "b"))
    paths = [name for name, value in first.items() if "/" in value]
    assert len(paths) >= 5
    assert all(first[name] != second[name] for name in paths)


def test_a_foreign_folder_is_refused(tmp_path: Path, prepare: Prepare) -> None:
    """A link that somebody laid in the place of the run's socket folder is not followed."""
    run_dir = tmp_path / "run"
    names = prepare(run_dir)
    folder = Path(names["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent
    folder.rmdir()
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(PermissionError):
            prepare(run_dir)
    finally:
        folder.unlink()


def test_the_launcher_runs(tmp_path: Path, prepare: Prepare) -> None:
    """The executable that Serve is given is HAProxy to whoever calls it, from any folder."""
    names = prepare(tmp_path / "with a space")
    command = [names["RAY_SERVE_HAPROXY_BINARY_PATH"], "-v"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
    assert answer.stdout.startswith("HAProxy version")
