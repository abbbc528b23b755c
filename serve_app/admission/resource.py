"""What requests hold places at: the gateway itself, or a processor."""

from __future__ import annotations

from collections.abc import Hashable

from serve_app.admission.vegas import Limit

_WEIGHT = 0.05
"""Of the newest time in the mean: about the last twenty, so that predictions follow within a few of them."""


class Resource:
    """Places, at most as many as its limit says, and for how long each is held."""

    def __init__(self, name: str, limit: Limit, *, expected_s: float) -> None:
        self.name = name
        self.limit = limit
        self.in_flight = 0
        self._mean_hold_s = expected_s

    @property
    def has_room(self) -> bool:
        """Whether one more may start."""
        return self.in_flight < self.limit.current

    @property
    def mean_hold_s(self) -> float:
        """How long a place is held, on average of late."""
        return self._mean_hold_s

    @property
    def per_place_s(self) -> float:
        """How often a place comes free, when all are taken: seconds between two. Source: Little's law."""
        return self._mean_hold_s / self.limit.current

    def take(self) -> None:
        """Take a place, also one beyond the limit: whoever has begun is not held up."""
        self.in_flight += 1

    def give_back(self) -> None:
        """Give a place back."""
        self.in_flight -= 1
        assert self.in_flight >= 0, f"{self.name}: more places were given back than taken"

    def was_held(self, held_s: float) -> None:
        """Learn for how long a request held places, in all."""
        self._mean_hold_s += _WEIGHT * (held_s - self._mean_hold_s)

    def sample(self, kind: Hashable, took_s: float, now: float, late_s: float) -> None:
        """Let the limit learn from one that ends now."""
        self.limit.sample(kind, took_s, self.in_flight, now, late_s=late_s)
