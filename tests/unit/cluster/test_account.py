"""The way to data and programs for a user who is not us."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.embedded import account as module
from cluster.embedded.account import open_way, reachable_copy, servers_account
from cluster.spawning import Account

STRANGER = Account("stranger", 54_321, 54_321)


def test_without_root_there_is_no_other_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user runs the servers as himself."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert servers_account() is None


@pytest.fixture
def closed() -> Iterator[Path]:
    """Make a folder whose parent is closed to all others. The ways above are open, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o711)
        folder = Path(top) / "home" / "data"
        folder.mkdir(parents=True)
        folder.parent.chmod(0o700)
        folder.chmod(0o711)
        yield folder


def test_a_closed_folder_is_opened_for_one_user_to_pass_through(closed: Path) -> None:
    """Nobody else gets anything, the folder cannot be listed, and a second time changes nothing."""
    told: list[str] = []
    open_way(closed, STRANGER, told.append)
    assert len(told) == 1
    assert str(closed.parent) in told[0]
    mode = closed.parent.stat().st_mode
    assert not mode & stat.S_IRWXO
    open_way(closed, STRANGER, told.append)
    assert len(told) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_kernel_agrees_that_the_way_is_open(closed: Path) -> None:
    """The user can read a file at the end of the way by its name, and list nothing on the way."""
    file = closed / "file"
    file.write_text("x")
    file.chmod(0o644)
    assert not as_stranger(lambda: file.read_text())
    open_way(closed, STRANGER, lambda _: None)
    assert as_stranger(lambda: file.read_text())
    assert not as_stranger(lambda: list(closed.parent.iterdir()))


def as_stranger(attempt: object) -> bool:
    """Tell whether something succeeds for the other user."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(STRANGER.gid)
        os.setuid(STRANGER.uid)
        try:
            attempt()  # type: ignore[operator]
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_where_there_are_no_acls_all_may_pass_through(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second best way is taken, and told."""
    monkeypatch.setattr(module, "_grant_by_acl", lambda *_: False)
    told: list[str] = []
    open_way(closed, STRANGER, told.append)
    assert stat.S_IMODE(closed.parent.stat().st_mode) == 0o701
    assert "all users" in told[0]


def test_a_program_that_can_be_run_stays_where_it_is(tmp_path: Path) -> None:
    """No copy is made without need."""
    program = Path("/bin/true")
    assert reachable_copy([program], Path("true"), None, tmp_path) == program
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_program_behind_a_closed_door_is_copied_once_with_all_its_parts(closed: Path) -> None:
    """The copy can be run by the user, and nothing at the original is changed."""
    package = closed / "package"
    package.mkdir(mode=0o700)
    program = package / "server"
    program.write_text("#!/bin/sh\necho version\n")
    program.chmod(0o700)
    programs = closed.parents[1] / "programs"
    programs.mkdir(mode=0o755)
    parts = [package, closed / "missing.libs"]
    copy = reachable_copy(parts, Path("package/server"), STRANGER, programs)
    assert copy.is_relative_to(programs)
    made = copy.stat().st_ctime_ns
    assert reachable_copy(parts, Path("package/server"), STRANGER, programs) == copy
    assert copy.stat().st_ctime_ns == made
    assert stat.S_IMODE(closed.parent.stat().st_mode) == 0o700
