"""Low priority under a flood of high, in simulated time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from uuid import UUID

import pytest

from actors.scheduler.queue import ReadyQueue
from actors.scheduler.task import Priority, Task
from tests.unit.scheduler.makers import make_registry, make_task

_AGEING_S = 10.0
_SERVICE_S = 0.5
_SLOTS = 4


def _starts(tasks: Iterable[Task], until: float) -> dict[UUID, float]:
    """Return when each task starts where `_SLOTS` run at once, each for `_SERVICE_S`."""
    queue = ReadyQueue(make_registry(a={}).find, ageing_s=_AGEING_S, waiting_max=1_000_000)
    coming = sorted(tasks, key=lambda task: task.run_at, reverse=True)
    ends: list[tuple[float, UUID]] = []
    starts: dict[UUID, float] = {}
    now = 0.0
    while now < until:
        while coming and coming[-1].run_at <= now:
            queue.add(coming.pop())
        while ends and ends[0][0] <= now:
            queue.ended(heapq.heappop(ends)[1])
        for task in queue.take(now, _SLOTS - len(ends)):
            starts[task.id] = now
            heapq.heappush(ends, (now + _SERVICE_S, task.id))
        times = [ends[0][0]] if ends else []
        times += [coming[-1].run_at] if coming else []
        now = min(times, default=until)
    return starts


def _flood(seconds: float, owners: int, priority: int) -> list[Task]:
    """Return twice as many tasks as can be served."""
    every_s = _SERVICE_S / _SLOTS / 2
    return [
        make_task(number, owner=f"m{number % owners}", priority=priority, run_at=number * every_s)
        for number in range(int(seconds / every_s))
    ]


@pytest.mark.parametrize("owner", ["m0", "other"])
@pytest.mark.parametrize("owners", [1, 5])
@pytest.mark.parametrize("flooding", [Priority.CRITICAL, Priority.HIGH])
def test_low_tasks_start_within_their_bound(owner: str, owners: int, flooding: Priority) -> None:
    """After the ageing that is between the priorities, and the time that those take who came before that moment.

    The flood is twice what can be served, so what came in a span takes two spans: a low task that came at t is behind
    what came up to t + ageing, at most twice that time after the flood began; and behind the low ones before it,
    for which there is its owner's share.
    """
    low = [
        make_task(1_000_000 + number, owner=owner, priority=Priority.LOW, run_at=1.0 + number) for number in range(20)
    ]
    starts = _starts([*_flood(150.0, owners, flooding), *low], until=150.0)
    ageing_s = (Priority.LOW - flooding) * _AGEING_S
    for task in low:
        bound_s = 2 * (task.run_at + ageing_s) + (len(low) / _SLOTS + 1) * owners * _SERVICE_S
        assert starts[task.id] <= bound_s, task
        # It is behind at first: a test that a plain queue would pass says nothing of priorities.
        if owner == "m0":
            assert starts[task.id] > task.run_at + ageing_s / 2


def test_a_low_task_alone_in_its_owners_queue_waits_for_its_ageing_alone() -> None:
    """However long the crowd of the others is: what others let grow old among themselves is not older than it."""
    low = make_task(1_000_000, owner="other", priority=Priority.LOW, run_at=60.0)
    starts = _starts([*_flood(150.0, 3, Priority.CRITICAL), low], until=150.0)
    assert starts[low.id] - low.run_at <= 3 * _AGEING_S + 4 * _SERVICE_S
