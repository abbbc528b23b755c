"""Keep the public port served while Serve notices that HAProxy or its manager has died, and end what is
orphaned.

Serve needs two to three seconds to replace a HAProxy that died. Its guard, a small process started beside it,
needs a tenth of one: it starts a stand-in on the same configuration. The stand-in answers on another admin
socket, so that Serve still finds its own HAProxy dead, starts another, and that one takes the stand-in's
listeners over.

Where the manager dies, HAProxy serves on until the next manager's HAProxy takes over. An HAProxy or stand-in
whose manager stays away is ended: nothing outlives Ray for long. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from cluster.ingress.takeover import answering_pid, stand_in_socket

# How long a process without a manager may serve: a manager is back in two or three seconds on an idle
# machine.
ORPHAN_S = 10.0
# A HAProxy that ends sooner did not start, for its configuration or its port; a stand-in would not either.
_STARTED_S = 1.0
_STAND_INS_MAX = 3
_PR_SET_PDEATHSIG = 1


def start_guard(binary: str, config: Path, admin: Path) -> None:
    """Fork the guard of this process, which is about to become HAProxy, and of its parent, the manager.

    Where the kernel has no process descriptors there is no guard, and Serve's own recovery remains.
    """
    try:
        guard = Guard(binary, config, admin, os.pidfd_open(os.getpid()), os.pidfd_open(os.getppid()))
    except OSError:
        return
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        os.close(guard.haproxy)
        os.close(guard.manager)
        return
    # Twice, so that HAProxy has no child; a session of its own, so that Ray's end of the manager's does not
    # reach it.
    os.setsid()
    if os.fork():
        os._exit(0)
    with contextlib.suppress(BaseException):
        guard.watch()
    os._exit(0)


@dataclass(slots=True)
class Guard:
    """Watch one HAProxy and its manager, both given as process descriptors."""

    binary: str
    config: Path
    admin: Path
    haproxy: int
    manager: int
    began_s: float = field(default_factory=time.monotonic)
    stand_ins: int = 0
    stand_in: subprocess.Popen[bytes] | None = None

    def watch(self) -> None:
        """Return when HAProxy has been replaced or is no longer needed."""
        while True:
            if not self._manager_lives():
                self._end_orphan()
                return
            self._wait((self.haproxy, self.manager), None)
            if self._ended(self.haproxy) and not self._stand_in():
                return

    def _stand_in(self) -> bool:
        """Start a stand-in for a HAProxy that ended; False where none is due."""
        lived_s = time.monotonic() - self.began_s
        if answering_pid(self.admin) or not self._manager_lives() or lived_s < _STARTED_S:
            return False
        if self.stand_ins == _STAND_INS_MAX:
            return False
        self.stand_ins += 1
        # A copy of its own: Serve rewrites the configuration whenever it likes.
        config = self.config.with_name("stand-in.cfg")
        text = self.config.read_text(encoding="utf-8")
        config.write_text(text.replace(str(self.admin), str(stand_in_socket(self.admin))), encoding="utf-8")
        print(
            "easypay: HAProxy has died, a stand-in serves until Serve has replaced it",
            file=sys.stderr,
            flush=True,
        )
        libc = ctypes.CDLL(None)
        self.stand_in = subprocess.Popen(
            [self.binary, "-db", "-f", str(config)],
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        os.close(self.haproxy)
        self.haproxy = os.pidfd_open(self.stand_in.pid)
        self.began_s = time.monotonic()
        return True

    def _end_orphan(self) -> None:
        # The next manager's HAProxy ends this one by -sf; both then let their last requests finish.
        self._wait((self.haproxy,), ORPHAN_S)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.haproxy, signal.SIGUSR1)
        # The stand-in would die with its guard; `hard-stop-after` bounds this.
        self._wait((self.haproxy,), None)

    def _manager_lives(self) -> bool:
        return not self._ended(self.manager)

    def _ended(self, process: int) -> bool:
        return bool(self._wait((process,), 0))

    def _wait(self, processes: tuple[int, ...], timeout_s: float | None) -> list[int]:
        poll = select.poll()
        for process in processes:
            poll.register(process, select.POLLIN)
        return [process for process, _ in poll.poll(None if timeout_s is None else timeout_s * 1000)]
