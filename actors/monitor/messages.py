"""What processes tell the monitor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from actors.monitor.series import Series
from actors.runtime.histogram import Histogram


class Change(NamedTuple):
    """Something that was changed on purpose, or changed by itself and may be a cause: ``kind`` is deploy, scale,
    breaker, index or configuration."""

    at: datetime
    kind: str
    what: str


class Batch(NamedTuple):
    """What a process measured since its batch before.

    ``process`` is for people and stays the same when the process starts anew, ``life`` never does; ``sequence`` rises
    by one with each batch of a life, and the same one may come twice. It covers ``span_s`` seconds that ended ``age_s``
    before it was sent: times of a clock would not compare between machines. ``counters`` are increments, ``gauges``
    those that changed, or with ``all_gauges`` all of them: what is missing then is no longer told.
    """

    process: str
    node: str
    life: str
    sequence: int
    span_s: float
    age_s: float
    counters: Mapping[Series, float]
    gauges: Mapping[Series, float]
    histograms: Mapping[Series, Histogram]
    changes: tuple[Change, ...]
    all_gauges: bool = False


class Reply(NamedTuple):
    """What the monitor answers to a batch or a bundle, and a relay hands on.

    ``heard``: it is counted and need not be told again. ``relay``: the processes of its node are to tell their node's
    relay from now on, and otherwise the monitor itself. ``inlet`` is the name of the socket by which processes of the
    monitor's own machine tell it, empty where there is none.
    """

    heard: bool
    relay: bool
    inlet: str = ""


class ProcessGauges(NamedTuple):
    """The gauges of one process in a bundle, as in ``Batch``; none of them may have changed, but it was heard."""

    process: str
    node: str
    gauges: Mapping[Series, float]
    all_gauges: bool = False


class Bundle(NamedTuple):
    """What the processes of a node measured since the bundle before, added up; the rest as in ``Batch``.

    ``parts`` are the lives and sequences of the batches that were added up. ``late`` are those that were not: they
    cover more than a moment and cannot be added to the others without moving them in time, or were told before and may
    have been counted.
    """

    node: str
    life: str
    sequence: int
    span_s: float
    parts: tuple[tuple[str, int], ...]
    counters: Mapping[Series, float]
    histograms: Mapping[Series, Histogram]
    processes: tuple[ProcessGauges, ...]
    changes: tuple[Change, ...]
    late: tuple[Batch, ...]


class Totals(NamedTuple):
    """Everything that was told since the monitor started: counters and histograms that never fall, and present gauges
    (of those that several processes set, as the rules say, the largest unless they do)."""

    counters: Mapping[Series, float]
    histograms: Mapping[Series, Histogram]
    gauges: Mapping[Series, float]
