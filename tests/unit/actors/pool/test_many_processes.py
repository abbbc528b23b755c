"""Two hundred processes on a budget of fifty, in virtual time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from actors.pool.actor import PATROL_INTERVAL_S
from actors.pool.budget import SILENT_S, ConnectionBudget
from actors.pool.lease import HURRIED_INTERVAL_S, RENEW_INTERVAL_S
from actors.pool.messages import Wait

BUDGET = 50
PROCESSES = 200


@dataclass
class Process:
    """What a process believes and has open at the server."""

    name: str
    want: int
    lease_id: str | None = None
    size: int = 0
    open: int = 0
    alive: bool = True
    served_at: float | None = None


class World:
    """Processes that renew, a manager that patrols, a server that counts; one event after the other."""

    def __init__(self, seed: int, processes: int = PROCESSES) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.budget = ConnectionBudget(BUDGET, name="gate/1", started_at=0.0)
        self.budget.end_recovery()
        self.processes = [Process(f"p{index}", self.random.choice([1, 4, 8])) for index in range(processes)]
        self.at_server = self.most = 0
        self.killed: dict[str, float] = {}
        self.freed_after: list[float] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        for process in self.processes:
            self.later(self.random.random(), partial(self.step, process))
        self.later(PATROL_INTERVAL_S, self.patrol)

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            self.most = max(self.most, self.at_server)
            assert self.at_server <= BUDGET
        self.now = until

    def step(self, process: Process) -> None:
        """Ask or renew; connections open at once and take a tenth of a second to close."""
        if not process.alive:
            return
        pause_s = RENEW_INTERVAL_S
        if process.lease_id is None:
            answer = self.budget.request(process.name, process.want, self.now)
            if isinstance(answer, Wait):
                pause_s = answer.retry_after_s
            else:
                process.lease_id = answer.lease_id
                self.resize(process, answer.size)
        else:
            may_hold = max(process.size, process.open)
            renewed = self.budget.renew(process.lease_id, process.name, may_hold, process.want, self.now)
            assert renewed is not None, "who renews in time keeps its lease"
            pause_s = HURRIED_INTERVAL_S if renewed.size == 0 else RENEW_INTERVAL_S
            pause_s = HURRIED_INTERVAL_S if process.open > renewed.size else pause_s
            self.resize(process, renewed.size)
        # Loops are late now and then.
        self.later(pause_s * self.random.uniform(1.0, 1.1), lambda: self.step(process))

    def resize(self, process: Process, size: int) -> None:
        process.size = size
        if process.open > size:
            self.later(0.1, lambda: self.close(process))
        else:
            self.connect(process, size)
        if size > 0 and process.served_at is None:
            process.served_at = self.now

    def close(self, process: Process) -> None:
        self.connect(process, min(process.open, process.size))

    def connect(self, process: Process, count: int) -> None:
        self.at_server += count - process.open
        process.open = count

    def kill(self, process: Process) -> None:
        """SIGKILL: the system closes its sockets, and the server sees that."""
        process.alive = False
        self.connect(process, 0)
        assert process.lease_id is not None
        self.killed[process.lease_id] = self.now

    def patrol(self) -> None:
        """Do what the manager does four times a second."""
        self.later(PATROL_INTERVAL_S, self.patrol)
        assert self.budget.free >= 0
        silent = self.budget.silent(self.now)
        present = {process.lease_id for process in self.processes if process.open > 0}
        self.budget.vanished([lease for lease in silent if lease not in present], self.now)
        assert self.budget.expire(self.now) == [], "nobody's connections have to be ended"
        if not self.killed:
            return
        leased = {lease_id for lease_id, *_ in self.budget.snapshot(self.now).leases}
        for lease_id in self.killed.keys() - leased:
            self.freed_after.append(self.now - self.killed.pop(lease_id))


def test_the_sum_never_passes_the_budget_and_everybody_has_a_turn() -> None:
    """All fifty are used, and the last of two hundred is served within half a minute."""
    world = World(0)
    world.run(30.0)
    assert world.most == BUDGET
    waits = [process.served_at for process in world.processes if process.served_at is not None]
    assert len(waits) == PROCESSES


def test_what_killed_processes_held_is_free_within_two_seconds() -> None:
    """And is given to those that wait."""
    world = World(7)
    world.run(10.0)
    holders = [process for process in world.processes if process.size > 0][:25]
    for process in holders:
        world.later(world.random.random(), partial(world.kill, process))
    world.run(5.0)
    assert len(world.freed_after) == len(holders)
    assert SILENT_S - 0.25 < max(world.freed_after) < 2.0
    used = sum(process.open for process in world.processes)
    assert used > BUDGET - 15, "others have them now"


def test_connections_move_from_idle_to_busy_processes() -> None:
    """Within two seconds, whoever had them first."""
    world = World(3, processes=20)
    for process in world.processes:
        process.want = 10
    world.run(10.0)
    busy, idle = world.processes[:5], world.processes[5:]
    for process in idle:
        process.want = 0
    world.run(2.5)
    assert sum(process.size for process in busy) == BUDGET
    assert {process.size for process in busy} == {10}
    assert {process.size for process in idle} == {0}
