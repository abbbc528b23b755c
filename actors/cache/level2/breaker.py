"""A circuit breaker: a server that fails is left alone, and asked now and then whether it is back."""

from __future__ import annotations

import random
from enum import Enum

FAILURES_MAX = 5
# A timeout costs its caller the whole deadline and a refused connection costs nothing: two of them are enough.
TIMEOUTS_MAX = 2
PAUSE_MIN_S = 0.1
# A server that came back is found within about a second; one question a second burdens nobody.
PAUSE_MAX_S = 1.0
PROBE_TIMEOUT_S = 1.0


class State(Enum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Everything."""
    OPEN = "open"
    """Nothing, until the pause is over."""
    HALF_OPEN = "half-open"
    """One call, the probe, is under way; nothing else."""


class Breaker:
    """Decide whether to call; time is an argument, in seconds of a monotonic clock.

    Guaranteed:
    - It opens with the last of ``failures_max`` failures in a row, or of ``TIMEOUTS_MAX`` timeouts in a row, so also
      when calls that are out together time out together. A success between them starts the count anew.
    - While it is open nothing is let through. A pause lasts between half of and all of ``pause_min_s`` * 2**n, and of
      ``pause_max_s`` at most, where n counts the probes that have failed since the last success.
    - After the pause the first ``allows`` lets one probe through; its failure opens anew, its success closes.
    - A probe of which nothing is heard for ``probe_timeout_s`` (its caller was cancelled) is replaced by another.
    - Any success closes, also that of a call let through earlier: the server has answered. Failures of such calls do
      not prolong a pause.

    Source: M. Nygard, Release It!, "Circuit Breaker"; jitter as in M. Brooker, Exponential Backoff And Jitter.
    """

    def __init__(
        self,
        draw: random.Random,
        *,
        failures_max: int = FAILURES_MAX,
        pause_min_s: float = PAUSE_MIN_S,
        pause_max_s: float = PAUSE_MAX_S,
        probe_timeout_s: float = PROBE_TIMEOUT_S,
    ) -> None:
        assert failures_max > 0
        assert 0 < pause_min_s <= pause_max_s
        self._draw = draw
        self._failures_max = failures_max
        self._pause_min_s = pause_min_s
        self._pause_max_s = pause_max_s
        self._probe_timeout_s = probe_timeout_s
        self._state = State.CLOSED
        self._failures = 0
        self._pause_s = 0.0
        self._until = 0.0

    @property
    def state(self) -> State:
        """The state after the last event; the end of a pause shows with the next ``allows``."""
        return self._state

    def allows(self, now: float) -> bool:
        """Tell whether to call now. Whoever is told yes reports what became of it."""
        if self._state is State.CLOSED:
            return True
        if now < self._until:
            return False
        self._state = State.HALF_OPEN
        self._until = now + self._probe_timeout_s
        return True

    def succeeded(self, _now: float) -> None:
        """Take note that a call was answered."""
        self._state = State.CLOSED
        self._failures = 0
        self._pause_s = 0.0

    def failed(self, now: float, *, timed_out: bool = False) -> None:
        """Take note that a call was not answered, or with an error of the server."""
        if self._state is State.OPEN:
            return
        # Rounded up, so that `TIMEOUTS_MAX` of them are always enough.
        self._failures += -(-self._failures_max // TIMEOUTS_MAX) if timed_out else 1
        if self._state is State.HALF_OPEN or self._failures >= self._failures_max:
            self._open(now)

    def retry_after_s(self, now: float) -> float:
        """Return how long nothing is let through, as far as is known."""
        return 0.0 if self._state is State.CLOSED else max(0.0, self._until - now)

    def _open(self, now: float) -> None:
        self._state = State.OPEN
        self._failures = 0
        self._pause_s = min(self._pause_max_s, max(self._pause_min_s, self._pause_s * 2))
        self._until = now + self._pause_s * self._draw.uniform(0.5, 1.0)
