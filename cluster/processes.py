"""Carry out what `process_supervision` decides: start processes, watch them, wait until they answer, end them.

One asyncio loop owns all of it. A child is started in a session of its own, so that Ctrl-C reaches the launcher alone
and the order of stopping is ours, and is told by the kernel when the launcher dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from cluster.process_supervision import (
    Action,
    ChildPlan,
    GiveUp,
    Kill,
    Kind,
    Phase,
    Start,
    Supervision,
    Terminate,
)
from cluster.spawning import Launch, describe_exit, read_lines, spawn

_READY_POLL_S = 0.05


class Child(Protocol):
    """Know how one process is started and when it serves."""

    @property
    def plan(self) -> ChildPlan:
        """What is wanted of it."""

    async def prepare(self) -> Launch:
        """Do what has to come before a start, leftovers of the last run included; raise on failure."""

    async def answers(self) -> bool:
        """Tell whether it serves; asked again and again while it starts. Never asked of a task.

        An exception means that it never will.
        """

    async def clean(self) -> None:
        """Remove what its death left behind."""


class Watcher(Protocol):
    """Is told what happens to children."""

    def on_start(self, name: str) -> None:
        """A child is being started."""

    def on_ready(self, name: str, seconds: float) -> None:
        """A server answers, or a task has ended well, this long after its start."""

    def on_death(self, name: str, reason: str) -> None:
        """A child ended that should not have."""

    def on_all_ready(self) -> None:
        """Everything is ready, for the first time or once more."""


@dataclass(slots=True)
class _Running:
    launch: Launch
    process: asyncio.subprocess.Process
    fault: str | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Processes:
    """Keep children running until told to stop."""

    def __init__(self, children: Sequence[Child], watcher: Watcher) -> None:
        self.supervision = Supervision([child.plan for child in children])
        self._children = {child.plan.name: child for child in children}
        self._watcher = watcher
        self._running: dict[str, _Running] = {}
        self._work: dict[str, asyncio.Task[None]] = {}
        self._events: asyncio.Queue[Callable[[], None]] = asyncio.Queue(maxsize=10_000)
        self._started: dict[str, float] = {}
        self._was_ready = False
        self.stop_asked = False

    def stop(self) -> None:
        """Ask for an orderly stop; call it from the loop. A second call kills what is left."""
        if self.stop_asked:
            for running in self._running.values():
                _send(running, signal.SIGKILL, group=True)
        self.stop_asked = True
        self._post(self.supervision.stop)

    def pids(self) -> dict[str, int]:
        """Return the process ids of the children that run."""
        return {name: running.process.pid for name, running in self._running.items()}

    async def run(self) -> GiveUp | None:
        """Start everything and return when all is down again; what failed, if the start did."""
        while not (self.supervision.stopping and self.supervision.all_down and not self._work):
            for action in self.supervision.decide(time.monotonic()):
                self._carry_out(action)
            if self.supervision.all_ready and not self._was_ready:
                self._watcher.on_all_ready()
            self._was_ready = self.supervision.all_ready
            await self._next_event()
        return self.supervision.fault

    async def _next_event(self) -> None:
        timeout_s = self.supervision.next_deadline(time.monotonic())
        with suppress(TimeoutError):
            event = await asyncio.wait_for(self._events.get(), timeout_s)
            event()

    def _post(self, event: Callable[[], None]) -> None:
        self._events.put_nowait(event)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Start(name):
                self._started[name] = time.monotonic()
                self._watcher.on_start(name)
                self._work[name] = asyncio.create_task(self._live(name), name=f"child {name}")
            case Terminate(name):
                self._end(name, None)
            case Kill(name):
                self._end(name, signal.SIGKILL)
            case GiveUp(name, reason):
                self._watcher.on_death(name, reason)

    def _end(self, name: str, how: signal.Signals | None) -> None:
        running = self._running.get(name)
        if running is not None and how is not None:
            _send(running, how, group=True)
        elif running is not None:
            _send(running, running.launch.stop_signal, group=running.launch.stop_group)
        elif name in self._work:
            # It is still being prepared: there is no process that could be sent anything.
            self._work[name].cancel()

    async def _live(self, name: str) -> None:
        """Take one child from its preparation to its end."""
        child = self._children[name]
        try:
            await self._live_once(name, child)
        except asyncio.CancelledError:
            self._post(lambda: self.supervision.on_start_failed(name, "stopped", time.monotonic()))
        except Exception as error:
            reason = str(error) or type(error).__name__
            self._post(lambda: self._on_start_failed(name, reason))
        finally:
            del self._work[name]

    async def _live_once(self, name: str, child: Child) -> None:
        launch = await child.prepare()
        process = await spawn(launch, open_input=bool(child.plan.awaits))
        running = self._running[name] = _Running(launch, process)
        self._tell_those_who_wait()
        try:
            if launch.on_line is not None:
                running.tasks.append(asyncio.create_task(read_lines(process, launch.on_line)))
            if self._is_server(name):
                running.tasks.append(asyncio.create_task(self._wait_ready(name, child, running)))
            code = await process.wait()
            await self._settle(name, running)
        finally:
            del self._running[name]
        await child.clean()
        self._post(lambda: self._on_exit(name, code, running.fault or describe_exit(code)))

    async def _settle(self, name: str, running: _Running) -> None:
        # The last lines of a task count; the wait for an answer of a dead server does not.
        if self._is_server(name):
            for task in running.tasks:
                task.cancel()
        await asyncio.gather(*running.tasks, return_exceptions=True)

    async def _wait_ready(self, name: str, child: Child, running: _Running) -> None:
        try:
            # There is no event to wait for: a server is asked until it answers, within the plan's deadline.
            while not await child.answers():  # noqa: ASYNC110
                await asyncio.sleep(_READY_POLL_S)
        except Exception as error:
            running.fault = str(error) or type(error).__name__
            _send(running, signal.SIGKILL, group=True)
        else:
            self._post(lambda: self._on_ready(name))

    def _is_server(self, name: str) -> bool:
        return self._children[name].plan.kind is Kind.SERVER

    def _on_ready(self, name: str) -> None:
        now = time.monotonic()
        # It may have died between its answer and now.
        if name in self._running:
            self.supervision.on_ready(name, now)
            self._watcher.on_ready(name, now - self._started[name])
            self._tell_those_who_wait()

    def _tell_those_who_wait(self) -> None:
        """Close the standard input of each task whose awaited servers serve."""
        for name, running in self._running.items():
            if running.process.stdin is not None and self.supervision.may_go_on(name):
                running.process.stdin.close()

    def _on_start_failed(self, name: str, reason: str) -> None:
        self._report_death(name, reason)
        self.supervision.on_start_failed(name, reason, time.monotonic())

    def _on_exit(self, name: str, code: int, reason: str) -> None:
        now = time.monotonic()
        if code == 0 and not self._is_server(name):
            self._watcher.on_ready(name, now - self._started[name])
        else:
            self._report_death(name, reason)
        self.supervision.on_exit(name, code, reason, now)

    def _report_death(self, name: str, reason: str) -> None:
        child = self.supervision.children[name]
        # While the first start fails, the fault itself is reported, once.
        if child.phase is not Phase.STOPPING and self.supervision.started_once:
            self._watcher.on_death(name, reason)


def _send(running: _Running, how: signal.Signals, *, group: bool) -> None:
    # A child leads a session, and with it a group, of its own. It is not reaped yet, so the number is still its own.
    if running.process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        if group:
            os.killpg(running.process.pid, how)
        else:
            running.process.send_signal(how)
