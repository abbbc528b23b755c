"""Everything that the monitor decides."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Set
from datetime import datetime, timedelta

from actors.monitor.alerts import AlertBook, AlertRule, AlertState, AlertView, Finding, Severity
from actors.monitor.burn import BudgetBurn
from actors.monitor.changes import Changes
from actors.monitor.history import WINDOWS, History, figures, tables
from actors.monitor.levels import Judge, Level, LevelView, Overall, overall
from actors.monitor.messages import Batch, Bundle, Totals
from actors.monitor.outlook import Outlook
from actors.monitor.processes import wants_relay
from actors.monitor.rules import Rules
from actors.monitor.saved import Saved
from actors.monitor.series import Series, series
from actors.monitor.silences import Silence, Silences
from actors.monitor.store import REPORTS, Store
from actors.monitor.views import AlertsView, Overview

PROCESSES = "easypay_monitor_processes"
LEVEL = "easypay_level"
ALERTS = "easypay_alerts"

_logger = logging.getLogger(__name__)

_AT_MOST = {Severity.PAGE: Level.POOR, Severity.TICKET: Level.FAIR}
"""What is firing must not be called better than this."""


class Monitor:
    """Add up what processes tell, and once for each second that is known judge it by the rules.

    Plain: times are arguments, ``now`` of a monotonic clock and ``wall`` of the calendar. Memory is bounded whatever is
    told. The constructor gives the time of the start: what lies before it is not known, and means and rates are those
    of the time since.
    """

    def __init__(self, rules: Rules, now: float) -> None:
        self._rules = rules
        self._store = Store(now, rules.merges)
        self._changes = Changes()
        self._alerts = AlertBook(self._changes)
        self._silences = Silences()
        self._judge = Judge(rules.levels)
        self._burns = tuple(BudgetBurn(slo) for slo in rules.slos)
        self._outlook = Outlook(rules)
        self._history = History(rules)
        self._reports = 0
        self._failed_rules: set[str] = set()
        self._levels: tuple[LevelView, ...] = ()
        self._overall = overall((), ())

    def take(self, batch: Batch, now: float) -> None:
        """Add a process's batch, once, however often it comes."""
        if self._store.take(batch, now):
            self._reports += 1
            self._changes.add(batch.changes)

    def take_bundle(self, bundle: Bundle, now: float) -> bool:
        """Add a node's bundle, once, however often it comes, and return whether it is counted.

        It is not where a process told one of its batches on another way meanwhile: each has to be told again then.
        """
        if self._store.knows(bundle):
            return True
        # First, for the gauges that they tell are older.
        for batch in bundle.late:
            self.take(batch, now)
        if not self._store.take_bundle(bundle, now):
            return False
        self._reports += len(bundle.parts)
        self._changes.add(bundle.changes)
        return True

    def wants_relay(self, node: str) -> bool:
        """Tell whether the processes of a node are to tell their node's relay."""
        return wants_relay(self._store.processes.of_node(node), self._store.processes.nodes)

    def step(self, now: float, wall: datetime) -> bool:
        """Judge each second that is known by now and was not judged; to be called a few times a second.

        Return whether anything changed that a monitor which takes over should know at once.
        """
        changed = self._silences.forget_ended(wall)
        while self._store.settle(now):
            changed |= self._look(now, wall)
        return changed

    def news(self) -> list[AlertView]:
        """Return the alerts that are to be delivered, each once: those that fire, and the end of those."""
        silenced = [alert.id for alert in self._silences.marked(self._alerts.views()) if alert.silenced_until]
        return self._alerts.news(silenced)

    def silence(self, silence: Silence) -> None:
        """Begin a silence. Raises ``TooManySilences``."""
        self._silences.add(silence)

    def unsilence(self, silence_id: str) -> bool:
        """End a silence; False where there is none of that id."""
        return self._silences.end(silence_id)

    def overview(self, now: float, wall: datetime) -> Overview:
        """Return how it goes."""
        return Overview(
            at=wall,
            level=self._overall,
            levels=self._levels,
            windows={name: figures(self._rules, self._store, span_s) for name, span_s in WINDOWS.items()},
            history=self._history.seconds(),
            tables=tables(self._rules, self._store),
            resources=self._outlook.resources,
            trends=self._outlook.trends,
            forecast=self._outlook.forecast(),
            burns=tuple(view for burn in self._burns for view in burn.burns(wall.timestamp())),
            advice=self._outlook.advice,
            changes=self._changes.all(),
            processes=self._store.processes.views(now),
        )

    def alerts(self) -> AlertsView:
        """Return all alerts and silences."""
        return AlertsView(self._silences.marked(self._alerts.views()), self._silences.views())

    def totals(self) -> Totals:
        """Return everything that was told since the start, for a scrape, and what was judged of it."""
        totals = self._store.totals()
        counters = {**totals.counters, series(REPORTS): self._reports}
        return Totals(counters, totals.histograms, {**totals.gauges, **dict(self._own_gauges())})

    def save(self, now: float, wall: datetime, undelivered: Set[str] = frozenset()) -> Saved:
        """Return what must outlive this monitor; of ``undelivered`` alerts, by ids, the next one tells again."""
        burns = {burn.slo.name: burn.keep() for burn in self._burns}
        return Saved(wall, self._alerts.keep(now, undelivered), self._silences.views(), burns, self._changes.all())

    def take_up(self, saved: Saved, now: float, wall: datetime) -> None:
        """Go on where another monitor ended: what fired fires, silences hold, and budgets are as far used up."""
        self._changes.add(saved.changes)
        self._alerts.take_up(saved.alerts, now)
        for silence in saved.silences:
            if silence.until > wall:
                self._silences.add(silence)
        for burn in self._burns:
            if burn.slo.name in saved.burns:
                burn.take_up(saved.burns[burn.slo.name])

    def _look(self, now: float, wall: datetime) -> bool:
        store = self._store
        for burn in self._burns:
            burn.see(store.counted(burn.slo.bad), store.counted(burn.slo.all), wall.timestamp())
        # First what somebody may have to get up for.
        changed = self._alerts.see(self._findings(wall), now, wall)
        self._levels = tuple(
            self._judge.see(rule.metric, rule.measure.read(store, rule.window_s).values(), now)
            for rule in self._rules.levels
        )
        self._overall = self._judged()
        self._history.look(store, wall - timedelta(seconds=now - store.settled))
        self._outlook.look(store, store.settled)
        return changed

    def _findings(self, wall: datetime) -> Iterator[Finding]:
        for rule in self._rules.alerts:
            yield from self._found(rule)
        for burn in self._burns:
            yield from burn.find(wall.timestamp())

    def _found(self, rule: AlertRule) -> list[Finding]:
        try:
            read = rule.measure.read(self._store, rule.window_s)
            return [rule.find(labels, value) for labels, value in read.items()]
        except Exception:
            # One rule that is wrong must not silence the others; it is logged once, for it would be each second.
            if rule.name not in self._failed_rules:
                self._failed_rules.add(rule.name)
                _logger.exception("the alert %s cannot be judged", rule.name)
            return []

    def _judged(self) -> Overall:
        # A budget that burns says how the last hours went, and not how it goes.
        now = {rule.name for rule in self._rules.alerts}
        firing = (alert for alert in self._alerts.views() if alert.state is AlertState.FIRING and alert.name in now)
        return overall(self._levels, ((f"{each.name}: {each.reason}", _AT_MOST[each.severity]) for each in firing))

    def _own_gauges(self) -> Iterator[tuple[Series, float]]:
        yield series(PROCESSES), len(self._store.processes)
        yield series(LEVEL, metric="overall"), float(self._overall.level)
        for view in self._levels:
            yield series(LEVEL, metric=view.metric), float(view.level)
        counts: dict[Series, float] = {}
        for alert in self._alerts.views():
            if alert.state is not AlertState.RESOLVED:
                key = series(ALERTS, alert=alert.name, severity=alert.severity.value, state=alert.state.value)
                counts[key] = counts.get(key, 0) + 1
        yield from counts.items()
