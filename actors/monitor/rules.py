"""What a monitor is to make of what it is told, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.monitor.advice import AdviceRule
from actors.monitor.alerts import AlertRule
from actors.monitor.burn import Slo
from actors.monitor.levels import LevelRule
from actors.monitor.measures import Measure, Merge, Select


@dataclass(frozen=True, slots=True)
class Figure:
    """A number by name, for each window and each second of the history."""

    name: str
    measure: Measure


@dataclass(frozen=True, slots=True)
class Table:
    """Figures that are parted by the same labels: a row for each of their values."""

    name: str
    columns: tuple[Figure, ...]
    window_s: int = 10


@dataclass(frozen=True, slots=True)
class CapacityRule:
    """Utilisations that must not come to ``full_at``: 1.0 unless it is given.

    ``measure`` is parted by the label that names the resource. Those named in ``by_arrivals`` are used in proportion to
    the arrivals (the utilisation law), so that these foretell when they are full; of the others their own trend does.
    """

    measure: Measure
    threshold: float = 0.8
    full_at: float = 1.0
    by_arrivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """All of it; what is left out is not watched.

    ``arrivals`` is one rate, ``heat`` selects histograms whose buckets are kept second by second, ``trends`` are the
    figures whose way is of interest; ``merges`` says how gauges of several processes become one, by name.
    """

    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    levels: tuple[LevelRule, ...] = ()
    alerts: tuple[AlertRule, ...] = ()
    slos: tuple[Slo, ...] = ()
    capacity: CapacityRule | None = None
    advice: tuple[AdviceRule, ...] = ()
    arrivals: Measure | None = None
    heat: Select | None = None
    trends: tuple[Figure, ...] = ()
    merges: Mapping[str, Merge] = field(default_factory=dict)
