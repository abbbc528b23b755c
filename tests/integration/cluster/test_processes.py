"""Real processes under the supervisor: order, restart, deadline, and the launcher's own death."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cluster.instance import end_marked, marked_processes, marks
from cluster.process_supervision import ChildPlan, GiveUp, Kind
from cluster.processes import Processes
from cluster.spawning import Launch
from tests.support.diary import Diary
from tests.support.polling import eventually

# Says that it serves by making a file, and keeps running.
SERVER = 'touch "$1"; while :; do sleep 0.05; done'
STUBBORN = f'trap "" TERM; {SERVER}'
TEST_INSTANCE = "test-of-processes"


@dataclass
class Shell:
    """A child that is a line of shell."""

    plan: ChildPlan
    folder: Path
    script: str = SERVER
    on_line: Callable[[str], None] | None = None

    @property
    def flag(self) -> Path:
        """The file that it makes when it serves."""
        return self.folder / f"{self.plan.name}.flag"

    async def prepare(self) -> Launch:
        """Forget the last run."""
        self.flag.unlink(missing_ok=True)
        return Launch(
            command=["/bin/sh", "-c", self.script, "sh", str(self.flag)],
            environment={**os.environ, **marks(TEST_INSTANCE, self.plan.name)},
            log=self.folder / f"{self.plan.name}.log",
            folder=self.folder,
            on_line=self.on_line,
        )

    async def answers(self) -> bool:
        """Look for the file."""
        return self.flag.exists()

    async def clean(self) -> None:
        """Nothing is left."""


@asynccontextmanager
async def running(*children: Shell) -> AsyncIterator[tuple[Processes, Diary, asyncio.Task[GiveUp | None]]]:
    """Run children, and end whatever a test left."""
    diary = Diary()
    processes = Processes(children, diary)
    task = asyncio.create_task(processes.run())
    try:
        yield processes, diary, task
    finally:
        if not task.done():
            processes.stop()
            processes.stop()
        async with asyncio.timeout(20):
            await task
        end_marked(TEST_INSTANCE)


async def test_children_start_in_order_restart_when_killed_and_stop_in_reverse(tmp_path: Path) -> None:
    """A whole life of two servers and a task."""
    first = Shell(ChildPlan("first"), tmp_path)
    second = Shell(ChildPlan("second", needs=frozenset({"first"})), tmp_path)
    lines: list[str] = []
    task = Shell(
        ChildPlan("task", kind=Kind.TASK, needs=frozenset({"second"}), repeats_after=frozenset({"second"})),
        tmp_path,
        "echo done",
        lines.append,
    )
    async with running(first, second, task) as (processes, diary, life):
        await diary.wait_for("all ready")
        order = ["start first", "ready first", "start second", "ready second", "start task", "ready task"]
        assert diary.entries == [*order, "all ready"]
        assert lines == ["done"]
        os.kill(processes.pids()["second"], signal.SIGKILL)
        await diary.wait_for("all ready", 2)
        assert "death second: was ended by SIGKILL" in diary.entries
        assert lines == ["done", "done"]
        pids = processes.pids()
        processes.stop()
        assert await life is None
        assert not any(psutil.pid_exists(pid) for pid in pids.values())


async def test_a_task_begins_beside_the_server_that_it_awaits(tmp_path: Path) -> None:
    """The server is not ready before the task has begun; the task goes on after it, also with the next server."""
    began = tmp_path / "began"
    server = Shell(ChildPlan("server"), tmp_path, f'until [ -e "{began}" ]; do sleep 0.01; done; {SERVER}')
    lines: list[str] = []
    awaited = frozenset({"server"})
    task = Shell(
        ChildPlan("task", kind=Kind.TASK, needs=awaited, awaits=awaited, repeats_after=awaited),
        tmp_path,
        f'touch "{began}"; cat; [ -e "{server.flag}" ] && echo done',
        lines.append,
    )
    async with running(server, task) as (processes, diary, _):
        await diary.wait_for("all ready")
        assert diary.entries == ["start server", "start task", "ready server", "ready task", "all ready"]
        began.unlink()
        os.kill(processes.pids()["server"], signal.SIGKILL)
        await diary.wait_for("all ready", 2)
        assert lines == ["done", "done"]


async def test_a_child_that_ends_during_the_first_start_ends_the_start(tmp_path: Path) -> None:
    """The fault names the child, and what had started is down on return."""
    good = Shell(ChildPlan("good"), tmp_path)
    bad = Shell(ChildPlan("bad", needs=frozenset({"good"})), tmp_path, "exit 3")
    async with running(good, bad) as (_, diary, life):
        assert await life == GiveUp("bad", "ended with status 3")
        assert "all ready" not in diary.entries
    assert marked_processes(TEST_INSTANCE) == []


async def test_a_program_that_does_not_exist_ends_the_start(tmp_path: Path) -> None:
    """What cannot even be started is a fault like any other."""

    class Missing(Shell):
        async def prepare(self) -> Launch:
            raise FileNotFoundError("no such server")

    async with running(Missing(ChildPlan("missing"), tmp_path)) as (_, _diary, life):
        assert await life == GiveUp("missing", "no such server")


async def test_an_answer_that_is_an_error_ends_the_start_with_its_words(tmp_path: Path) -> None:
    """A server that will never serve is not waited for."""

    class Wrong(Shell):
        async def answers(self) -> bool:
            raise RuntimeError("the password is wrong")

    async with running(Wrong(ChildPlan("wrong"), tmp_path)) as (_, _diary, life):
        assert await life == GiveUp("wrong", "the password is wrong")


async def test_a_child_that_ignores_the_stop_is_killed_at_its_deadline(tmp_path: Path) -> None:
    """A stop has an end."""
    child = Shell(ChildPlan("stubborn", stop_s=0.2), tmp_path, STUBBORN)
    async with running(child) as (processes, diary, life):
        await diary.wait_for("all ready")
        processes.stop()
        assert await life is None


async def test_a_second_stop_does_not_wait(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice means now."""
    child = Shell(ChildPlan("stubborn", stop_s=600.0), tmp_path, STUBBORN)
    async with running(child) as (processes, diary, life):
        await diary.wait_for("all ready")
        processes.stop()
        processes.stop()
        async with asyncio.timeout(5):
            assert await life is None


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of another gateway."""
    environment = {**os.environ, **marks("another gateway", "parent")}
    with subprocess.Popen(["sleep", "600"], env=environment) as process:
        yield process
        process.kill()


def _names(child: str) -> list[str]:
    """Return the names of the processes that a child has left."""
    found = []
    for process in marked_processes(TEST_INSTANCE, child):
        with suppress(psutil.NoSuchProcess):
            found.append(process.name())
    return found


async def test_processes_of_the_gateway_are_found_by_their_mark_wherever_they_went(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    """A grandchild in a session of its own, without its parent, is still ours; a stranger is not."""
    child = Shell(ChildPlan("parent"), tmp_path, f"setsid sleep 600 & {SERVER}")
    async with running(child) as (processes, diary, life):
        await diary.wait_for("all ready")
        processes.stop()
        await life
        # The shell's own last sleep, of 50 ms, outlives it, and `setsid` becomes the other one.
        eventually(lambda: _names("parent"), lambda names: names == ["sleep"], within_s=5)
        assert marked_processes(TEST_INSTANCE, "another child") == []
        assert end_marked(TEST_INSTANCE) == 1
    assert stranger.poll() is None


LAUNCHER = """
import asyncio, sys
from pathlib import Path
from tests.integration.cluster.test_processes import Shell
from cluster.process_supervision import ChildPlan
from cluster.processes import Processes
from tests.support.diary import Diary

async def main():
    diary = Diary()
    processes = Processes([Shell(ChildPlan("orphan"), Path(sys.argv[1]))], diary)
    task = asyncio.create_task(processes.run())
    await diary.wait_for("all ready")
    print(processes.pids()["orphan"], flush=True)
    await task

asyncio.run(main())
"""


def test_a_child_is_told_when_its_launcher_is_killed(tmp_path: Path) -> None:
    """No server runs on without anybody to watch it."""
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, tmp_path], stdout=subprocess.PIPE)
    with launcher:
        assert launcher.stdout is not None
        child = psutil.Process(int(launcher.stdout.readline()))
        launcher.kill()
    gone, _ = psutil.wait_procs([child], timeout=10)
    assert gone == [child]
