"""Long lives of a queue in which workers, owners and connections die at random."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from actors.scheduler.lifecycle import ORPHANED_MAX, Outcome
from actors.scheduler.task import TaskState
from tests.property.scheduler.world import WORKERS, World

_STEPS = 2_500
_OUTCOMES = [Outcome.SUCCEEDED] * 6 + [Outcome.FAILED] * 2 + [Outcome.TIMED_OUT, Outcome.GAVE_UP, Outcome.INTERRUPTED]


class _Life:
    """Random events, each as often as its weight says."""

    def __init__(self, seed: int, *, deaths: bool) -> None:
        self.world = World(seed)
        self._draw = random.Random(seed)
        weights: dict[Callable[[], None], float] = {
            self._enqueue: 12,
            self._cancel: 1,
            self.world.discover: 8,
            self._read: 25,
            self._write: 25,
            self._receive: 80,
            self._finish: 40,
            self._connect: 12,
            self._disconnect: 1,
            self._notice: 4,
            self._advance: 12,
        }
        if deaths:
            weights |= {self._kill: 1, self._take_over: 0.5}
        self._actions = list(weights)
        self._weights = list(weights.values())

    def run(self, steps: int) -> None:
        """Let so many events happen, then settle."""
        for action in self._draw.choices(self._actions, self._weights, k=steps):
            action()
        self.world.settle()

    def _enqueue(self) -> None:
        draw = self._draw
        name = draw.choices(["plain", "narrow", "wide", "heavy", "killer"], [10, 3, 5, 3, 0.3])[0]
        for _ in range(draw.choice([1, 1, 1, 2, 12]) if name != "killer" else 1):
            self.world.enqueue(
                name,
                owner=draw.choice(["", "m1", "m2"]),
                lane=draw.choice([None, None, "a", "b"]),
                priority=draw.choice([0, 1, 2, 2, 2, 3]),
                delay_s=draw.choice([0.0] * 6 + [1.0, 70.0]),
            )

    def _cancel(self) -> None:
        if self.world.rows:
            self.world.cancel(self._draw.choice(list(self.world.rows)[-40:]))

    def _read(self) -> None:
        if self.world.reads:
            self.world.finish_read(self._draw.randrange(len(self.world.reads)))

    def _write(self) -> None:
        if self.world.write is not None:
            self._draw.choice([self.world.apply_write, self.world.acknowledge_write])()

    def _receive(self) -> None:
        process = self.world.processes.get(self._draw.choice(WORKERS))
        if process is not None and process.connection is not None:
            ways = [way for way in (True, False) if (process.connection.down if way else process.connection.up)]
            if ways:
                self.world.receive(process.name, down=self._draw.choice(ways))

    def _finish(self) -> None:
        process = self.world.processes.get(self._draw.choice(WORKERS))
        if process is not None and process.runs:
            self.world.finish_run(process.name, self._draw.randrange(100), self._draw.choice(_OUTCOMES))

    def _connect(self) -> None:
        name = self._draw.choice(WORKERS)
        if name not in self.world.processes:
            self.world.start_worker(name)
        if self.world.processes[name].connection is None:
            self.world.connect(name)

    def _disconnect(self) -> None:
        process = self.world.processes.get(self._draw.choice(WORKERS))
        if process is not None and process.connection is not None:
            self.world.disconnect(process.name)

    def _kill(self) -> None:
        name = self._draw.choice(WORKERS)
        if name in self.world.processes:
            self.world.kill(name)

    def _notice(self) -> None:
        if self.world.notices:
            self.world.notice(self._draw.randrange(10))

    def _take_over(self) -> None:
        self.world.take_over()

    def _advance(self) -> None:
        self.world.advance(self._draw.choice([0.001, 0.01, 0.1, 1.0, 1.0, 12.0]))


@pytest.mark.parametrize("number", range(6))
def test_every_task_ends_whatever_dies(number: int) -> None:
    """The world asserts at each start that the task, its lane and its limit allow it."""
    seed = random.randrange(2**32)
    print(f"life {number}, seed {seed}")
    life = _Life(seed, deaths=True)
    life.run(_STEPS)
    rows = life.world.rows.values()
    assert all(row.state is not TaskState.PENDING for row in rows)
    assert all(row.state is not TaskState.SUCCEEDED for row in rows if row.task.name == "killer")
    status = life.world.core.status()
    assert status.running == status.delayed == sum(status.ready.values()) == 0


@pytest.mark.parametrize("number", range(3))
def test_a_task_that_kills_its_workers_takes_no_neighbour_with_it(number: int) -> None:
    """Where nothing else dies, it is dead after the third worker, and all that ran beside it end otherwise."""
    seed = random.randrange(2**32)
    print(f"life {number}, seed {seed}")
    life = _Life(seed, deaths=False)
    life.run(_STEPS)
    killed = [row for row in life.world.rows.values() if row.task.orphaned == ORPHANED_MAX]
    assert all(row.task.name == "killer" for row in killed)
    assert all(
        row in killed or row.state is TaskState.CANCELLED
        for row in life.world.rows.values()
        if row.task.name == "killer"
    )
