"""The pause after a connection could not be made."""

from __future__ import annotations

import random

# The first reconnect comes at once and the slowest once a second: a server that came back is found within a second,
# and one that is starting is not flooded.
BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 1.0


class Backoff:
    """Doubles with each failure, and ends with the first success."""

    __slots__ = ("_pause_s", "until")

    def __init__(self) -> None:
        self._pause_s = 0.0
        self.until = 0.0

    def failed(self, now: float) -> None:
        """Begin a pause; those that fail together count once."""
        if now >= self.until:
            self._pause_s = min(BACKOFF_MAX_S, max(BACKOFF_MIN_S, self._pause_s * 2))
            self.until = now + self._pause_s * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Forget all failures."""
        self._pause_s = self.until = 0.0
