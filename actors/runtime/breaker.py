"""A circuit breaker: what fails is left alone, and asked now and then whether it is back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from actors.runtime.rolling import RollingCounts


class State(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Everything."""
    OPEN = "open"
    """Nothing, until the pause is over."""
    HALF_OPEN = "half_open"
    """One call at a time, the probe; nothing else."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and how it closes again.

    It opens with ``failures_max`` failures in a row, of which a timeout counts as ``timeout_weight``, for it costs its
    caller the whole deadline and a refused connection costs nothing; or when at least ``failure_share`` of
    ``calls_min`` or more calls of the last ``window_s`` failed. ``successes_needed`` probes in a row close it.

    With independent failures at a rate p, one call in p**-failures_max opens it, or one in about
    1 / (C(calls_min - 1, calls_min / 2 - 1) * p**(calls_min / 2)): at 1 % one in 10**15 with twenty calls, and one in
    80 million with ten.
    """

    failures_max: int = 5
    timeout_weight: int = 3
    calls_min: int = 20
    failure_share: float = 0.5
    window_s: float = 10.0
    pause_min_s: float = 0.1
    # Whoever came back is found within about a second; one question a second burdens nobody.
    pause_max_s: float = 1.0
    probe_timeout_s: float = 1.0
    successes_needed: int = 1

    def __post_init__(self) -> None:
        assert min(self.failures_max, self.timeout_weight, self.calls_min, self.successes_needed) > 0
        assert 0 < self.failure_share <= 1
        assert 0 < self.pause_min_s <= self.pause_max_s
        assert self.window_s > 0
        assert self.probe_timeout_s > 0


class Breaker:
    """Decide whether to call; time is an argument, in seconds of a monotonic clock. Memory is constant.

    Whoever is let through gets a ticket, and reports with it what became of the call, or that there was none. A ticket
    is worth something only until the next change of state, so what was let through before one neither opens, closes
    nor prolongs anything after it. Guaranteed:

    - It opens as the policy says, and never with fewer failures.
    - A pause lasts between half of and all of ``pause_min_s`` * 2**n, and of ``pause_max_s`` at most, where n counts
      the openings since it was last closed. While it lasts nothing is let through.
    - After the pause, ``ask`` lets one call through at a time. Its failure opens anew; ``successes_needed`` of them
      that succeed close it, and the counts begin at nothing.
    - A probe of which nothing is heard for ``probe_timeout_s`` (its caller was cancelled) is replaced by another.
    - What an operator forced stands whatever is reported, until it is released.

    Source: M. Nygard, Release It!, "Circuit Breaker"; jitter as in M. Brooker, Exponential Backoff And Jitter.
    """

    __slots__ = (
        "_counts",
        "_decisions",
        "_draw",
        "_failures",
        "_forced",
        "_on_decision",
        "_pause_s",
        "_policy",
        "_state",
        "_successes",
        "_ticket",
        "_until",
    )

    def __init__(
        self,
        draw: random.Random,
        policy: BreakerPolicy | None = None,
        on_decision: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_decision`` is told whenever it opened or closed by what it saw itself."""
        self._draw = draw
        self._on_decision = on_decision
        self._policy = policy or BreakerPolicy()
        self._counts = RollingCounts(self._policy.window_s)
        self._state = State.CLOSED
        self._forced: State | None = None
        self._ticket = 0
        self._decisions = 0
        self._failures = 0
        self._successes = 0
        self._pause_s = 0.0
        self._until = 0.0

    @property
    def state(self) -> State:
        """What is in force after the last event; the end of a pause shows with the next ``ask``."""
        return self._state if self._forced is None else self._forced

    @property
    def forced(self) -> State | None:
        """What an operator forced: open or closed."""
        return self._forced

    @property
    def ticket(self) -> int:
        """The ticket of a call that is made now whatever the breaker says: of work that it let through before."""
        return self._ticket

    @property
    def decisions(self) -> int:
        """How often it opened or closed by what it saw itself: it rises with each, and with nothing else."""
        return self._decisions

    @property
    def is_open(self) -> bool:
        """Whether it has opened and not closed since, whatever is forced."""
        return self._state is not State.CLOSED

    @property
    def pause_s(self) -> float:
        """The last pause before its jitter; 0 while it is closed."""
        return self._pause_s

    def remaining_s(self, now: float) -> float:
        """Return what is left of the pause; 0 once a probe is due or under way."""
        return max(0.0, self._until - now) if self._state is State.OPEN else 0.0

    def window(self, now: float) -> tuple[int, int]:
        """Return the calls of the last seconds, since it was closed, and how many of them failed."""
        return self._counts.totals(now)

    def ask(self, now: float) -> int | None:
        """Return a ticket where a call may be made now, None where it may not."""
        if self._forced is State.OPEN:
            return None
        if self._state is State.CLOSED or self._forced is State.CLOSED:
            return self._ticket
        if now < self._until:
            return None
        self._state = State.HALF_OPEN
        self._until = now + self._policy.probe_timeout_s
        self._ticket += 1
        return self._ticket

    def succeeded(self, ticket: int, now: float) -> None:
        """Take note that a call was answered."""
        if ticket != self._ticket or self._forced is State.OPEN:
            return
        if self._state is State.CLOSED or self._forced is State.CLOSED:
            self._counts.add(now)
            self._failures = 0
            return
        self._successes += 1
        if self._successes >= self._policy.successes_needed:
            self._close()
            self._decided()
        else:
            self._state, self._until = State.HALF_OPEN, now
            self._ticket += 1

    def failed(self, ticket: int, now: float, *, timed_out: bool = False) -> None:
        """Take note that a call was not answered, or with an error of whoever was called."""
        if ticket != self._ticket or self._forced is State.OPEN:
            return
        if self._state is State.CLOSED or self._forced is State.CLOSED:
            self._counts.add(now, marked=True)
            self._failures += self._policy.timeout_weight if timed_out else 1
            if self._forced is None and self._has_to_open(now):
                self._open(now)
        elif self._state is State.HALF_OPEN or now >= self._until:
            self._open(now)

    def unused(self, ticket: int, now: float) -> None:
        """Give a ticket back: no call was made, or it says nothing. Another may be the probe."""
        if ticket == self._ticket and self._state is State.HALF_OPEN:
            self._until = now

    def retry_after_s(self, now: float) -> float:
        """Return how long nothing is let through, as far as is known; 0 where something is."""
        if self._forced is State.OPEN:
            return self._policy.pause_max_s
        if self._state is State.CLOSED or self._forced is State.CLOSED:
            return 0.0
        return max(0.0, self._until - now)

    def adopt_open(self, pause_s: float, remaining_s: float, now: float) -> None:
        """Open, because others found out: for ``remaining_s``, in a pause of ``pause_s`` before its jitter."""
        self._change(State.OPEN)
        self._pause_s = min(pause_s, self._policy.pause_max_s)
        self._until = now + min(max(0.0, remaining_s), self._policy.pause_max_s)

    def adopt_closed(self) -> None:
        """Close, because others found out."""
        self._close()

    def force(self, forced: State | None) -> None:
        """Hold it open or closed, or (None) let it decide by itself again; ``adopt_...`` says from which state on."""
        assert forced is not State.HALF_OPEN
        self._forced = forced
        self._ticket += 1
        self._failures = 0

    def _has_to_open(self, now: float) -> bool:
        policy = self._policy
        if self._failures >= policy.failures_max:
            return True
        calls, failures = self._counts.totals(now)
        return calls >= policy.calls_min and failures >= policy.failure_share * calls

    def _open(self, now: float) -> None:
        self._change(State.OPEN)
        self._pause_s = min(self._policy.pause_max_s, max(self._policy.pause_min_s, self._pause_s * 2))
        self._until = now + self._pause_s * self._draw.uniform(0.5, 1.0)
        self._decided()

    def _close(self) -> None:
        self._change(State.CLOSED)
        self._pause_s = 0.0
        self._counts.clear()

    def _decided(self) -> None:
        self._decisions += 1
        self._on_decision()

    def _change(self, state: State) -> None:
        self._state = state
        self._ticket += 1
        self._failures = 0
        self._successes = 0
