"""How fast a service level objective's error budget is used up."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from actors.monitor.alerts import Finding, Severity
from actors.monitor.measures import Select

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Burn:
    """An alert of an objective: the budget burns ``factor`` times too fast over the long window, and still does over
    the short one, by which it resolves soon after the end of what was wrong."""

    alert: str
    long_s: float
    short_s: float
    factor: float
    severity: Severity
    for_s: float = 0.0
    keep_s: float = 10.0


WORKBOOK = (
    Burn("SloBurnFast", HOUR_S, 5 * MINUTE_S, 14.4, Severity.PAGE),
    Burn("SloBurnFast", 6 * HOUR_S, 30 * MINUTE_S, 6.0, Severity.PAGE),
    Burn("SloBurnSlow", 3 * DAY_S, 6 * HOUR_S, 1.0, Severity.TICKET),
)
"""Two, five and ten per cent of a month's budget are gone.

Source: Google, The Site Reliability Workbook, chapter 5, "Alerting on SLOs", table 5-8.
"""


@dataclass(frozen=True, slots=True)
class Slo:
    """An objective: of all events at least this part is not bad, over thirty days.

    A window with fewer than ``bad_min`` bad events in its long part fires nothing: with little traffic one error would
    be more than the budget of an hour (the workbook's "low-traffic services"). After a start the time before it counts
    as good and as busy as the time since: half a minute of errors is as small a part of a month's budget then as later.
    """

    name: str
    bad: Select
    all: Select
    objective: float = 0.999
    burns: tuple[Burn, ...] = WORKBOOK
    bad_min: float = 10.0

    def __post_init__(self) -> None:
        assert 0 < self.objective < 1, self.objective


class BurnView(NamedTuple):
    """How fast a budget burns over two windows; 1 uses it up in the objective's thirty days."""

    slo: str
    burn: Burn
    long: float
    short: float
    bad: float


Slots = tuple[tuple[float, float, float], ...]
"""When each began, in seconds since 1970, bad and all events."""


class KeptBurn(NamedTuple):
    """Since when a budget is known, and its slots from the finest to the coarsest."""

    since: float | None
    tiers: tuple[Slots, ...]


class _Tier:
    """Sums of bad and all events in slots of one width, the last of them in a ring."""

    def __init__(self, slot_s: float, slots: int) -> None:
        self.slot_s = slot_s
        self._slots = slots
        self._bad = array("d", bytes(8 * slots))
        self._all = array("d", bytes(8 * slots))
        self._last = 0

    def add(self, bad: float, events: float, now: float) -> None:
        slot = int(now / self.slot_s)
        self._advance(slot)
        if slot > self._last - self._slots:
            self._bad[slot % self._slots] += bad
            self._all[slot % self._slots] += events

    def sums(self, span_s: float, now: float) -> tuple[float, float]:
        self._advance(int(now / self.slot_s))
        count = min(self._slots, max(1, round(span_s / self.slot_s)))
        slots = [each % self._slots for each in range(self._last - count + 1, self._last + 1)]
        return sum(self._bad[each] for each in slots), sum(self._all[each] for each in slots)

    def covers(self, span_s: float) -> bool:
        return span_s <= self.slot_s * self._slots

    def _advance(self, slot: int) -> None:
        for passed in range(max(self._last, slot - self._slots) + 1, slot + 1):
            self._bad[passed % self._slots] = self._all[passed % self._slots] = 0.0
        self._last = max(self._last, slot)

    def keep(self) -> Slots:
        slots = range(max(0, self._last - self._slots + 1), self._last + 1)
        return tuple(
            (slot * self.slot_s, self._bad[slot % self._slots], self._all[slot % self._slots])
            for slot in slots
            if self._all[slot % self._slots]
        )


class BudgetBurn:
    """Keep bad and all events of one objective for three days, in 20 KB: slots of 5 s for an hour, of a minute for six
    hours, of ten minutes for three days. A window ends with the present slot, so it is short by up to one.

    Times are seconds since 1970, for a budget outlives its monitor; a clock that steps back stands still.
    """

    def __init__(self, slo: Slo) -> None:
        self.slo = slo
        self._tiers = (_Tier(5.0, 721), _Tier(MINUTE_S, 361), _Tier(10 * MINUTE_S, 433))
        self._counted: tuple[float, float] | None = None
        self._since: float | None = None
        for burn in slo.burns:
            assert self._tiers[-1].covers(burn.long_s), "a window is longer than what is kept"

    def see(self, bad: float, events: float, now: float) -> None:
        """Take what both have come to since the start. A sum that fell counts from there: a series made room."""
        before = self._counted or (0.0, 0.0)
        self._counted = bad, events
        self._since = now if self._since is None else self._since
        more_bad, more = max(0.0, bad - before[0]), max(0.0, events - before[1])
        if more or more_bad:
            for tier in self._tiers:
                tier.add(more_bad, max(more, more_bad), now)

    def burns(self, now: float) -> Iterator[BurnView]:
        """Yield how fast the budget burns, for each alert."""
        for burn in self.slo.burns:
            long, bad = self._burn(burn.long_s, now)
            short, _ = self._burn(burn.short_s, now)
            yield BurnView(self.slo.name, burn, long, short, bad)

    def find(self, now: float) -> Iterator[Finding]:
        """Yield what is to be said of each alert."""
        for view in self.burns(now):
            burn = view.burn
            is_over = view.long > burn.factor and view.short > burn.factor and view.bad >= self.slo.bad_min
            labels = (("slo", self.slo.name), ("window", _span(burn.long_s)))
            reason = (
                f"{self.slo.name}: the error budget burns {view.long:.3g} times too fast over {_span(burn.long_s)} and"
                f" {view.short:.3g} times over {_span(burn.short_s)}; {burn.factor:g} is too much"
            )
            value = min(view.long, view.short)
            yield Finding(
                burn.alert, labels, burn.severity, value, burn.factor, is_over, not is_over, reason, burn.for_s,
                burn.keep_s,
            )  # fmt: skip

    def keep(self) -> KeptBurn:
        """Return what is kept, for one that comes after this."""
        return KeptBurn(self._since, tuple(tier.keep() for tier in self._tiers))

    def take_up(self, kept: KeptBurn) -> None:
        """Go on with what another kept."""
        if kept.since is not None:
            self._since = kept.since if self._since is None else min(self._since, kept.since)
        for tier, slots in zip(self._tiers, kept.tiers, strict=True):
            for at, bad, events in slots:
                tier.add(bad, events, at)

    def _burn(self, span_s: float, now: float) -> tuple[float, float]:
        """Return how many times too fast the budget burns over a window, and the bad events in it."""
        finest = next(tier for tier in self._tiers if tier.covers(span_s))
        bad, events = finest.sums(span_s, now)
        if not events or self._since is None:
            return 0.0, bad
        known_s = max(now - self._since, self._tiers[0].slot_s)
        # As many events again are taken to have come, and none of them bad, in the time that nobody has seen.
        events *= max(1.0, span_s / known_s)
        return bad / events / (1 - self.slo.objective), bad


def _span(seconds: float) -> str:
    for unit_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "m")):
        if seconds >= unit_s and seconds % unit_s == 0:
            return f"{seconds / unit_s:g}{unit}"
    return f"{seconds:g}s"
