"""The life of an alert: pending, firing, resolved."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from actors.monitor.changes import Changes
from actors.monitor.measures import Measure
from actors.monitor.messages import Change
from actors.monitor.series import Labels

ALERTS_MAX = 200
RESOLVED_KEPT_S = 900.0
UNKNOWN_S = 60.0
"""For how long an alert outlives its figure, unless its rule says otherwise."""
_UNHEARD = "; nothing was heard of it since"


class Severity(Enum):
    """What is expected of who hears of it: to get up, or to look at it in working hours."""

    PAGE = "page"
    TICKET = "ticket"


class AlertState(Enum):
    """Pending until it has lasted for its ``for_s``, then firing until it was clear for its ``keep_s``."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What must not be, of each figure of a measure.

    It fires when the figure was past ``threshold`` (above it, or below where ``above`` is False) in each look of
    ``for_s`` seconds, and resolves when it was past ``clear`` the other way for ``keep_s``: what wavers between the two
    neither fires nor resolves. Where there is no figure any more it is not taken to be well: what fires goes on, and
    resolves after ``unknown_s``, saying so. ``clear`` is 0.9 of the threshold, or 1.1, if it is not given. ``reason``
    is a template with value, threshold and the labels by name.
    """

    name: str
    measure: Measure
    threshold: float
    reason: str
    severity: Severity = Severity.TICKET
    above: bool = True
    clear: float | None = None
    window_s: int = 10
    for_s: float = 3.0
    keep_s: float = 10.0
    unknown_s: float = UNKNOWN_S

    def find(self, labels: Labels, value: float) -> Finding:
        """Return what is to be said of a figure."""
        clear = self.clear if self.clear is not None else self.threshold * (0.9 if self.above else 1.1)
        is_over = value > self.threshold if self.above else value < self.threshold
        is_clear = not is_over and (value <= clear if self.above else value >= clear)
        reason = self.reason.format(value=value, threshold=self.threshold, **dict(labels))
        return Finding(
            self.name, labels, self.severity, value, self.threshold, is_over, is_clear, reason, self.for_s, self.keep_s,
            self.unknown_s,
        )  # fmt: skip


class Finding(NamedTuple):
    """What was seen of one alert in one look."""

    name: str
    labels: Labels
    severity: Severity
    value: float
    threshold: float
    is_over: bool
    is_clear: bool
    reason: str
    for_s: float
    keep_s: float
    unknown_s: float = UNKNOWN_S


class AlertView(NamedTuple):
    """One alert. ``since`` is when its state began; ``changes`` are those of the ten minutes before it, newest last."""

    id: str
    name: str
    labels: Labels
    severity: Severity
    state: AlertState
    since: datetime
    value: float
    threshold: float
    reason: str
    changes: tuple[Change, ...] = ()
    silenced_until: datetime | None = None


class Kept(NamedTuple):
    """An alert and what is not for show, with seconds in place of times of a clock: it outlives the actor."""

    view: AlertView
    told: bool
    for_s: float
    keep_s: float
    state_for_s: float
    unknown_s: float = UNKNOWN_S


@dataclass(slots=True)
class _Alert:
    view: AlertView
    at: float
    for_s: float
    keep_s: float
    unknown_s: float
    clear_at: float | None = None
    unknown_at: float | None = None
    told: bool = False


class AlertBook:
    """Keep alerts, by name and labels: of one there is one, however often it is found.

    What a look does not find any more is not known to be clear: what was pending goes, what fires stays for as long as
    its rule says. At most ``ALERTS_MAX`` are kept; of what comes past them the resolved make room, and then it is not
    kept. Times are arguments, ``now`` of a monotonic clock.
    """

    def __init__(self, changes: Changes) -> None:
        """``changes`` is what an alert that begins may come from."""
        self._alerts: dict[tuple[str, Labels], _Alert] = {}
        self._changes = changes

    def see(self, findings: Iterable[Finding], now: float, wall: datetime) -> bool:
        """Take a look's findings, and tell whether any state changed."""
        changed = False
        unseen = dict(self._alerts)
        for finding in findings:
            unseen.pop((finding.name, finding.labels), None)
            changed |= self._see(finding, now, wall)
        for alert in unseen.values():
            changed |= self._miss(alert, now, wall)
        self._forget(now)
        return changed

    def views(self) -> Iterator[AlertView]:
        """Yield all of them, the firing first and then the newest."""
        order = (AlertState.FIRING, AlertState.PENDING, AlertState.RESOLVED)
        alerts = sorted(self._alerts.values(), key=lambda each: (order.index(each.view.state), -each.at))
        return (alert.view for alert in alerts)

    def news(self, is_silenced: Iterable[str]) -> list[AlertView]:
        """Return what nobody was told yet, and take it to be told: what fires unless it is silenced, and the end of
        what was told. ``is_silenced`` are ids."""
        silenced = set(is_silenced)
        news: list[AlertView] = []
        for alert in self._alerts.values():
            if alert.view.state is AlertState.FIRING and not alert.told and alert.view.id not in silenced:
                alert.told = True
                news.append(alert.view)
            elif alert.view.state is AlertState.RESOLVED and alert.told:
                alert.told = False
                news.append(alert.view)
        return news

    def keep(self, now: float, undelivered: Set[str] = frozenset()) -> tuple[Kept, ...]:
        """Return all of them, to be taken up by a book that comes after this one: it tells again of what was told and
        is ``undelivered``, by ids."""
        return tuple(
            Kept(
                each.view,
                # Of one that has resolved it means that its beginning was told, and its end was not.
                each.view.state is AlertState.RESOLVED if each.view.id in undelivered else each.told,
                each.for_s,
                each.keep_s,
                now - each.at,
                each.unknown_s,
            )
            for each in self._alerts.values()
        )

    def take_up(self, kept: Iterable[Kept], now: float) -> None:
        """Go on with what another book kept: what fires goes on to fire, and is told to nobody again."""
        for each in kept:
            alert = _Alert(each.view, now - each.state_for_s, each.for_s, each.keep_s, each.unknown_s, told=each.told)
            self._alerts.setdefault((each.view.name, each.view.labels), alert)

    def _see(self, finding: Finding, now: float, wall: datetime) -> bool:
        alert = self._alerts.get((finding.name, finding.labels))
        if finding.is_over:
            if alert is None or alert.view.state is AlertState.RESOLVED:
                return self._begin(finding, now, wall)
            return self._go_on(alert, finding, now, wall)
        if alert is None:
            return False
        if alert.view.state is not AlertState.RESOLVED:
            alert.view = alert.view._replace(value=finding.value, reason=finding.reason)
            alert.unknown_at = None
        if finding.is_clear or alert.view.state is AlertState.PENDING:
            return self._clear(alert, now, wall)
        alert.clear_at = None
        return False

    def _begin(self, finding: Finding, now: float, wall: datetime) -> bool:
        key = finding.name, finding.labels
        if key not in self._alerts and len(self._alerts) >= ALERTS_MAX and not self._make_room():
            return False
        view = AlertView(
            _id(finding, wall), finding.name, finding.labels, finding.severity, AlertState.PENDING, wall,
            finding.value, finding.threshold, finding.reason, self._changes.before(wall),
        )  # fmt: skip
        alert = self._alerts[key] = _Alert(view, now, finding.for_s, finding.keep_s, finding.unknown_s)
        self._fire_if_due(alert, now, wall)
        return True

    def _go_on(self, alert: _Alert, finding: Finding, now: float, wall: datetime) -> bool:
        alert.clear_at = alert.unknown_at = None
        alert.view = alert.view._replace(
            value=finding.value, threshold=finding.threshold, reason=finding.reason, severity=finding.severity
        )
        alert.for_s, alert.keep_s, alert.unknown_s = finding.for_s, finding.keep_s, finding.unknown_s
        return self._fire_if_due(alert, now, wall)

    def _fire_if_due(self, alert: _Alert, now: float, wall: datetime) -> bool:
        if alert.view.state is not AlertState.PENDING or now - alert.at < alert.for_s:
            return False
        changes = self._changes.before(wall)
        alert.view = alert.view._replace(state=AlertState.FIRING, since=wall, changes=changes)
        alert.at = now
        return True

    def _clear(self, alert: _Alert, now: float, wall: datetime) -> bool:
        if alert.view.state is AlertState.PENDING:
            del self._alerts[alert.view.name, alert.view.labels]
            return True
        if alert.view.state is AlertState.RESOLVED:
            return False
        if alert.clear_at is None:
            alert.clear_at = now
        if now - alert.clear_at < alert.keep_s:
            return False
        self._resolve(alert, alert.view.reason, now, wall)
        return True

    def _miss(self, alert: _Alert, now: float, wall: datetime) -> bool:
        """Go on with an alert whose figure is gone, and tell whether its state changed. A time for which it was clear
        goes on to count, but ends with a look that finds it clear."""
        if alert.view.state is not AlertState.FIRING:
            return self._clear(alert, now, wall)
        if alert.unknown_at is None:
            alert.unknown_at = now
            # One that another book kept may have it already.
            reason = alert.view.reason.removesuffix(_UNHEARD) + _UNHEARD
            alert.view = alert.view._replace(reason=reason)
        if now - alert.unknown_at < alert.unknown_s:
            return False
        reason = f"{alert.view.reason}, for {now - alert.unknown_at:.0f} s: it is not known to be well"
        self._resolve(alert, reason, now, wall)
        return True

    def _resolve(self, alert: _Alert, reason: str, now: float, wall: datetime) -> None:
        alert.view = alert.view._replace(state=AlertState.RESOLVED, since=wall, reason=reason)
        alert.at, alert.unknown_at = now, None

    def _forget(self, now: float) -> None:
        old = [
            key
            for key, alert in self._alerts.items()
            if alert.view.state is AlertState.RESOLVED and now - alert.at > RESOLVED_KEPT_S
        ]
        for key in old:
            del self._alerts[key]

    def _make_room(self) -> bool:
        resolved = [(each.at, key) for key, each in self._alerts.items() if each.view.state is AlertState.RESOLVED]
        if resolved:
            del self._alerts[min(resolved)[1]]
        return bool(resolved)


def _id(finding: Finding, wall: datetime) -> str:
    """Return a name for this life of an alert: the next one of the same labels has another."""
    return f"{finding.name}-{zlib.crc32(repr(finding.labels).encode()):08x}-{int(wall.timestamp())}"
