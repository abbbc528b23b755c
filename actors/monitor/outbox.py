"""What is to be delivered to one receiver, and when it is tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from actors.monitor.alerts import AlertView

QUEUE_MAX = 200
ATTEMPTS_MAX = 12
"""With the pauses between them, about ten minutes."""
PAUSE_MIN_S = 1.0
PAUSE_MAX_S = 120.0


class Counts(NamedTuple):
    """What became of it; ``given_up`` are those that were tried too often, ``dropped`` those for which there was no
    room."""

    waiting: int
    delivered: int
    failures: int
    given_up: int
    dropped: int

    @property
    def ended(self) -> int:
        """Those that wait no longer."""
        return self.delivered + self.given_up + self.dropped


@dataclass(slots=True)
class _Waiting:
    alert: AlertView
    due: float
    attempts: int = 0


class Outbox:
    """Keep alerts in their order until each is delivered, so that no end comes before its beginning.

    One that fails is tried again after a pause that doubles from 1 s to two minutes, less up to half of it at random,
    and given up after twelve attempts. At most ``QUEUE_MAX`` wait: what comes past them pushes out the oldest. Times
    are arguments, of a monotonic clock.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        """``random`` gives numbers from 0 up to 1."""
        self._random = random
        self._waiting: deque[_Waiting] = deque()
        self._delivered = self._failures = self._given_up = self._dropped = 0

    def add(self, alerts: Iterable[AlertView], now: float) -> None:
        """Take what is to be delivered."""
        for alert in alerts:
            if len(self._waiting) >= QUEUE_MAX:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(_Waiting(alert, now))

    def due(self, now: float) -> AlertView | None:
        """Return what is to be tried now, None where there is nothing, or it is not time yet."""
        return self._waiting[0].alert if self._waiting and self._waiting[0].due <= now else None

    def due_in_s(self, now: float) -> float | None:
        """Return in how many seconds there is something to try, None where there is nothing."""
        return max(0.0, self._waiting[0].due - now) if self._waiting else None

    def delivered(self, alert: AlertView) -> None:
        """It arrived."""
        if self._is_first(alert):
            self._waiting.popleft()
            self._delivered += 1

    def failed(self, alert: AlertView, now: float) -> bool:
        """It did not arrive; False where it is given up."""
        if not self._is_first(alert):
            return True
        first = self._waiting[0]
        first.attempts += 1
        self._failures += 1
        if first.attempts >= ATTEMPTS_MAX:
            self._waiting.popleft()
            self._given_up += 1
            return False
        pause_s = min(PAUSE_MAX_S, PAUSE_MIN_S * 2 ** (first.attempts - 1))
        first.due = now + pause_s * (1 - self._random() / 2)
        return True

    def waiting(self) -> tuple[str, ...]:
        """Return the ids of what was not delivered."""
        return tuple(each.alert.id for each in self._waiting)

    def counts(self) -> Counts:
        """Return what became of it all."""
        return Counts(len(self._waiting), self._delivered, self._failures, self._given_up, self._dropped)

    def _is_first(self, alert: AlertView) -> bool:
        """Tell whether it was not pushed out meanwhile."""
        return bool(self._waiting) and self._waiting[0].alert is alert
