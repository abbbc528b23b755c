"""The line before the connections: who is next, and whose wait is hopeless."""

from __future__ import annotations

import asyncio
import itertools
from bisect import bisect, insort
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Priority(Enum):
    """How much later than its deadline a caller is put, in seconds.

    Work of one priority is served in the order of its deadlines, and no work waits for ever behind more urgent work:
    what comes later has later deadlines.
    """

    URGENT = 0.0
    """What a payment waits for."""
    NORMAL = 1.0
    BACKGROUND = 10.0
    """What nobody waits for."""


@dataclass(order=True, slots=True)
class Place:
    """A place in the line. ``key`` and ``number`` order it."""

    key: float
    number: int
    deadline: float = field(compare=False)
    since: float = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)


class Line:
    """Serve the earliest deadline first, each priority's shifted by its value.

    Bounded: where it is full, the last place makes way for one before it. Joining, leaving and the first are O(n) in
    moves of memory, with n of a thousand at most well under a microsecond.
    Source: Liu and Layland, Scheduling Algorithms for Multiprogramming in a Hard-Real-Time Environment, JACM 20(1),
    1973.
    """

    __slots__ = ("_length_max", "_numbers", "_places")

    def __init__(self, length_max: int) -> None:
        assert length_max > 0
        self._length_max = length_max
        self._numbers = itertools.count()
        self._places: list[Place] = []

    def __len__(self) -> int:
        return len(self._places)

    def place(self, future: asyncio.Future[Any], deadline: float, priority: Priority, now: float) -> Place:
        """Return the place that a caller would take now."""
        return Place(deadline + priority.value, next(self._numbers), deadline, now, future)

    def ahead(self, place: Place) -> int:
        """Return how many are before a place."""
        return bisect(self._places, place)

    def join(self, place: Place) -> Place | None:
        """Take a place; return who had to make way for it: the last one, or itself."""
        insort(self._places, place)
        return self._places.pop() if len(self._places) > self._length_max else None

    def leave(self, place: Place) -> bool:
        """Give a place up; return whether it was still held."""
        index = bisect(self._places, place) - 1
        if index < 0 or self._places[index] is not place:
            return False
        del self._places[index]
        return True

    def next(self) -> Place | None:
        """Take out the first one that still waits."""
        while self._places:
            place = self._places.pop(0)
            if not place.future.done():
                return place
        return None

    def due_before(self, moment: float) -> list[Place]:
        """Take out those whose deadline is before a moment."""
        late = [place for place in self._places if place.deadline < moment]
        self._places = [place for place in self._places if place.deadline >= moment]
        return late

    def waited_s(self, now: float) -> float:
        """Return for how long the one that came first has waited."""
        return max((now - place.since for place in self._places), default=0.0)


def expected_wait_s(ahead: int, servers: int, service_s: float) -> float:
    """Return how long a caller waits on average behind ``ahead`` others, while all ``servers`` are busy.

    Each of them is free after ``service_s`` on average, so one in ``service_s / servers``. Exact for exponential
    service times, too long for more even ones by one service time at most.
    Source: Kleinrock, Queueing Systems, volume 1, 1975, section 3.5 (M/M/m).
    """
    return (ahead + 1) * service_s / servers
