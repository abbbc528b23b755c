"""How far a replica is behind, in seconds, from positions alone: no clock of another machine, no heartbeat row."""

from __future__ import annotations

from collections import deque

# Four looks a second for five minutes; whoever is behind further is as far as can be told.
SAMPLES_MAX = 1200


class LagMeter:
    """Remember where the primary was when. What a replica has not replayed became due when the primary wrote it."""

    def __init__(self, samples_max: int = SAMPLES_MAX) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=samples_max)
        self._timeline = 0

    def primary(self, timeline: int, lsn: int, now: float) -> None:
        """Take note of the primary's position; another timeline begins anew."""
        if timeline != self._timeline:
            self._samples.clear()
            self._timeline = timeline
        if not self._samples or lsn > self._samples[-1][1]:
            self._samples.append((now, lsn))

    def lag_s(self, replayed: int, now: float) -> float | None:
        """Return how long what is missing at this position has been there to replay; None: no primary was seen yet.

        At least that long where the memory does not reach so far; exact to the interval of looks.
        """
        if not self._samples:
            return None
        since: float | None = None
        for seen_at, lsn in reversed(self._samples):
            if lsn <= replayed:
                break
            since = seen_at
        return 0.0 if since is None else now - since
