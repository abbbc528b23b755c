"""How long replicas take to come: what a forecast has to look ahead."""

from __future__ import annotations

_WEIGHT = 0.3


class LeadTime:
    """Measures, in seconds, from the moment that a number of replicas is wanted until they run.

    A process on a machine that is there takes seconds, one on a machine that the cloud has to start takes minutes: what
    holds here is only known by looking.
    """

    def __init__(self, first_s: float, most_s: float) -> None:
        self._mean_s = first_s
        self._most_s = most_s
        self._wanted: int | None = None
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """How long it takes as a rule."""
        return self._mean_s

    def observe(self, running: int, wanted: int, now: float) -> None:
        """Note how many replicas run and how many are wanted."""
        if self._wanted is not None and running >= self._wanted:
            self._learn(now - self._since)
            self._wanted = None
        if wanted <= running:
            # As many as are wanted, or fewer than before: nobody is waited for any more.
            self._wanted = None
        elif self._wanted is None or wanted > self._wanted:
            # More are wanted than a moment ago: the time counts from the last raise, which the last to come was for.
            self._wanted, self._since = wanted, now
        else:
            # Those that never came within the longest time are as good as that far away.
            if now - self._since > self._most_s:
                self._learn(self._most_s)
                self._since = now

    def _learn(self, seconds: float) -> None:
        self._mean_s += _WEIGHT * (min(seconds, self._most_s) - self._mean_s)
