"""Alerts of which nobody wants to hear for a while."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from actors.monitor.alerts import AlertView
from actors.monitor.series import Labels

SILENCES_MAX = 100


class Silence(NamedTuple):
    """Which alert is silent, for these labels and whatever others it has, until when, and who said so and why."""

    id: str
    alert: str
    labels: Labels
    until: datetime
    by: str
    why: str

    def covers(self, alert: AlertView) -> bool:
        """Tell whether an alert is meant."""
        return alert.name == self.alert and set(self.labels) <= set(alert.labels)


class TooManySilences(ValueError):
    """There are as many as may be; the text says so."""


class Silences:
    """Keep ``SILENCES_MAX`` silences until they end. What is silent is judged and shown, but told to nobody."""

    def __init__(self) -> None:
        self._silences: dict[str, Silence] = {}

    def add(self, silence: Silence) -> None:
        """Begin one, or replace the one of its id. Raises ``TooManySilences``."""
        if silence.id not in self._silences and len(self._silences) >= SILENCES_MAX:
            raise TooManySilences(f"there are {SILENCES_MAX} silences: end one of them first")
        self._silences[silence.id] = silence

    def end(self, silence_id: str) -> bool:
        """End one; False where there is none. Safe to repeat."""
        return self._silences.pop(silence_id, None) is not None

    def forget_ended(self, wall: datetime) -> bool:
        """Drop those whose time is over; False where there was none."""
        ended = [each.id for each in self._silences.values() if each.until <= wall]
        for silence_id in ended:
            del self._silences[silence_id]
        return bool(ended)

    def views(self) -> tuple[Silence, ...]:
        """Return all of them, those that end first before others."""
        return tuple(sorted(self._silences.values(), key=lambda each: each.until))

    def marked(self, alerts: Iterable[AlertView]) -> tuple[AlertView, ...]:
        """Return alerts with the time until which each is silent."""
        return tuple(alert._replace(silenced_until=self._until(alert)) for alert in alerts)

    def _until(self, alert: AlertView) -> datetime | None:
        return max((each.until for each in self._silences.values() if each.covers(alert)), default=None)
