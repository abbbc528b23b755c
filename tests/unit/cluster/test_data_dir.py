"""The data directory: modes, lock, id."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.data_dir import AlreadyRunning, DataDir, DataDirError, default_data_dir

HOLD = """
import sys
from pathlib import Path
from cluster.data_dir import DataDir
with DataDir(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """Make a data directory."""
    data = DataDir(tmp_path / "data")
    data.create()
    return data


def test_nobody_else_can_look_into_it(data: DataDir) -> None:
    """Folders are 0700 and files 0600, also where they were open before."""
    data.path.chmod(0o755)
    data.create()
    assert stat.S_IMODE(data.path.stat().st_mode) & 0o066 == 0
    for path in data.path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_id_stays_and_each_directory_has_its_own(data: DataDir, tmp_path: Path) -> None:
    """Processes of two gateways can be told apart, those of two runs of one cannot."""
    first = data.instance
    data.create()
    other = DataDir(tmp_path / "other")
    other.create()
    assert data.instance == first != other.instance
    assert DataDir(tmp_path / "never made").instance == ""


def test_a_second_launcher_is_refused_and_told_who_holds_it(data: DataDir) -> None:
    """A live lock is respected, with a message that says what to do."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, data.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(AlreadyRunning, match=rf"process {holder.pid}.*easypay down") as caught, data.locked():
            pass
        assert caught.value.pid == str(holder.pid)
        found = data.holder()
        assert found is not None
        assert found.pid == holder.pid
        holder.kill()


def test_a_lock_goes_with_its_process(data: DataDir) -> None:
    """A launcher that was killed leaves a lock file that stops nobody, and no holder."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, data.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
    assert data.lock_file.read_text() == str(holder.pid)
    assert data.holder() is None
    with data.locked():
        pass


def test_a_number_in_the_lock_file_that_is_another_process_by_now_is_no_holder(data: DataDir) -> None:
    """`down` must never end a stranger who got the number of a launcher that is long dead."""
    data.lock_file.write_text(str(subprocess.Popen(["true"]).wait() or 1))
    assert data.holder() is None


def test_a_short_folder_lies_inside_where_its_sockets_fit_and_elsewhere_where_not(
    data: DataDir, tmp_path: Path
) -> None:
    """A path that is too long for a Unix socket is no reason not to start."""
    assert data.short_folder("s", below=1).parent == data.path
    deep = DataDir(tmp_path / ("x" * 100))
    deep.create()
    folder = deep.short_folder("s", below=20)
    try:
        assert len(str(folder)) + 20 <= 107
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert deep.short_folder("s", below=20) == folder
    finally:
        folder.rmdir()


def test_a_place_that_cannot_be_written_is_named() -> None:
    """The message is for a person."""
    with pytest.raises(DataDirError, match="cannot use /proc/easypay"):
        DataDir(Path("/proc/easypay")).create()


def test_the_default_is_here_unless_the_environment_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two checkouts do not share a database by accident."""
    monkeypatch.delenv("EASYPAY_DATA_DIR", raising=False)
    assert default_data_dir() == Path(".easypay")
    monkeypatch.setenv("EASYPAY_DATA_DIR", "/srv/easypay")
    assert default_data_dir() == Path("/srv/easypay")
