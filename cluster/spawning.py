"""Start one process: as whom, with which environment, where its output goes, and what happens to it when we die."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LINE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine as which a child runs."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything that starting a process takes. Its output is added to `log`."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    folder: Path
    account: Account | None = None
    # What asks it to end, and what it is sent when the launcher dies.
    stop_signal: signal.Signals = signal.SIGTERM
    # Whether a stop is asked of all processes of its group at once, and not of itself alone.
    stop_group: bool = False
    # Where given, it gets the lines of standard output, and the log gets standard error alone.
    on_line: Callable[[str], None] | None = None


async def spawn(launch: Launch, *, open_input: bool = False) -> asyncio.subprocess.Process:
    """Start a process in a session of its own; the kernel asks it to end when this process does.

    Its standard input is empty, or with ``open_input`` a pipe that says something by its end.
    """
    with launch.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *launch.command,
            env=dict(launch.environment),
            cwd=launch.folder,
            stdin=asyncio.subprocess.PIPE if open_input else asyncio.subprocess.DEVNULL,
            stdout=log if launch.on_line is None else asyncio.subprocess.PIPE,
            stderr=log,
            limit=_LINE_BYTES_MAX,
            start_new_session=True,
            preexec_fn=_die_with_parent(launch.stop_signal),
            **_identity(launch.account),
        )


def _die_with_parent(how: signal.Signals) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
        # The parent may have died before the kernel was asked.
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_kernel


async def read_lines(process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
    """Hand on the lines of a process's standard output until it closes that."""
    assert process.stdout is not None
    async for line in process.stdout:
        on_line(line.decode(errors="replace").rstrip("\n"))


def describe_exit(code: int) -> str:
    """Say in words how a process ended."""
    if code >= 0:
        return f"ended with status {code}"
    return f"was ended by {signal.Signals(-code).name}"


async def run_program(launch: Launch) -> None:
    """Run a short program to its end; raise RuntimeError with its last words where it fails."""
    process = await asyncio.create_subprocess_exec(
        *launch.command,
        env=dict(launch.environment),
        cwd=launch.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_die_with_parent(signal.SIGKILL),
        **_identity(launch.account),
    )
    output, _ = await process.communicate()
    if process.returncode:
        last_words = output.decode(errors="replace").strip()[-500:]
        raise RuntimeError(f"{Path(launch.command[0]).name}: {last_words}")


def _identity(account: Account | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}
