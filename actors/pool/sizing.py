"""How many connections a process needs: a formula for what is known of its load, and a controller around it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import exp

WAIT_TARGET_S = 0.005
"""At most one use in a hundred may wait longer than that for its connection."""
WAIT_PART = 0.01
# A burst that comes back within that time finds its connections open.
KEEP_S = 5.0
# Without any use for so long a process needs no connection at all, where another one waits for it.
IDLE_S = 10.0
# The same where not every process can have one: others may wait for it this moment.
SCARCE_IDLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """What a process saw in the last interval."""

    arrival_rate: float
    """uses that began or joined the line, a second"""
    service_s: float
    """mean time that a connection was in use"""
    busy: float
    """connections in use now"""
    wait_p99_s: float
    """99th percentile of all waits that ended, and of the one that goes on for longest"""
    waiting: int
    """callers in line now"""


def servers_needed(arrival_rate: float, service_s: float, *, wait_s: float, part: float, most: int) -> int:
    """Return the fewest servers with which at most ``part`` of all wait longer than ``wait_s``, up to ``most``.

    P(W > t) = C(c, a) exp(-(c/S - lambda) t), where a = lambda S is the offered load by Little's law, and C is Erlang's
    second formula, from his first by its recursion B(c) = a B(c-1) / (c + a B(c-1)). For small ``part`` it behaves as
    c = a + beta sqrt(a) (square-root staffing).
    Source: Erlang, 1917; Cooper, Introduction to Queueing Theory, 2nd edition 1981, sections 3.3 and 3.4 (M/M/s);
    Little, A Proof for the Queuing Formula L = lambda W, Operations Research 9(3), 1961; Halfin and Whitt,
    Heavy-Traffic Limits for Queues with Many Exponential Servers, Operations Research 29(3), 1981.
    """
    offered = arrival_rate * service_s
    if offered <= 0:
        return 0
    blocked = 1.0
    for servers in range(1, most):
        blocked = offered * blocked / (servers + offered * blocked)
        if servers <= offered:
            continue
        waits = blocked / (1 - offered / servers * (1 - blocked))
        if waits * exp(-(servers / service_s - arrival_rate) * wait_s) <= part:
            return servers
    return most


class Sizer:
    """Follow the load: up at once, by half at least where callers wait too long; down slowly.

    The formula believes in random arrivals and in a service time that does not depend on the size; where it is wrong,
    measured waits say so and it grows all the same. It comes down to the most that was needed within ``keep_s``, by a
    quarter of the size at a step, one step a ``keep_s``. 0: there was no use for ``idle_s``, or for half a second where
    connections are scarce, and it can do without.
    """

    def __init__(
        self,
        least: int,
        most: int,
        *,
        wait_target_s: float = WAIT_TARGET_S,
        keep_s: float = KEEP_S,
        idle_s: float = IDLE_S,
    ) -> None:
        assert 0 < least <= most
        self._least = least
        self._most = most
        self._wait_target_s = wait_target_s
        self._keep_s = keep_s
        self._idle_s = idle_s
        self._needs: deque[tuple[float, int]] = deque()
        self._want = most
        self._used_at: float | None = None
        self._stepped_at: float | None = None

    @property
    def want(self) -> int:
        """The size by the loads so far; before the first, the most."""
        return self._want

    def observe(self, load: Load, now: float, *, scarce: bool = False) -> int:
        """Return the size for a load; ``scarce``: not every process can have a connection."""
        if self._used_at is None:
            self._used_at = self._stepped_at = now
        needed = self._needed(load)
        while self._needs and self._needs[-1][1] <= needed:
            self._needs.pop()
        self._needs.append((now, needed))
        while self._needs[0][0] + self._keep_s < now:
            self._needs.popleft()
        self._follow(self._needs[0][1], now)
        if load.arrival_rate > 0 or load.busy > 0 or load.waiting > 0:
            self._used_at = now
        if now - self._used_at >= (min(SCARCE_IDLE_S, self._idle_s) if scarce else self._idle_s):
            return 0
        return self._want

    def _needed(self, load: Load) -> int:
        by_formula = servers_needed(
            load.arrival_rate, load.service_s, wait_s=self._wait_target_s, part=WAIT_PART, most=self._most
        )
        needed = max(by_formula, int(load.busy), self._least)
        if load.wait_p99_s > self._wait_target_s:
            needed = max(needed, self._want + max(1, self._want // 2))
        return min(needed, self._most)

    def _follow(self, needed: int, now: float) -> None:
        assert self._stepped_at is not None
        if needed > self._want:
            self._want, self._stepped_at = needed, now
        elif needed < self._want and now - self._stepped_at >= self._keep_s:
            self._want = max(needed, self._want - max(1, self._want // 4))
            self._stepped_at = now
