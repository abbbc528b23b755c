"""Measures that the gateway's rules need beside those of the monitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.monitor.measures import Measure, Merge, Windows, select
from actors.monitor.series import Labels
from serve_app.monitoring.names import PROCESS_ENDING, PROCESS_MEMORY

LOST_LOOKS_MAX = 600
"""For so many seconds a process that is not replaced counts as lost; then the cluster is taken to do without it."""
_WELL_LOOKS = 60
"""For so many seconds one that is lost no more is told to be well; what is not told of counts as unknown."""
_REPLACED_BEFORE_LOOKS = 10
"""Silence is noticed after seconds, by which time a replacement may have been there: it counts for as long as this."""


@dataclass(frozen=True, slots=True)
class Worst:
    """The largest of several measures for each label set, of those that say something."""

    of: tuple[Measure, ...]

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:
        """Return it."""
        worst: dict[Labels, float] = {}
        for measure in self.of:
            for labels, value in measure.read(windows, span_s).items():
                worst[labels] = max(value, worst.get(labels, value))
        return worst


@dataclass(frozen=True, slots=True)
class Named:
    """A measure that is parted by one label, under another name of that label and without a prefix of its values; what
    has no such prefix is left out."""

    of: Measure
    label: str
    prefix: str = ""

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:
        """Return it."""
        named: dict[Labels, float] = {}
        for labels, value in self.of.read(windows, span_s).items():
            ((_, text),) = labels
            if text.startswith(self.prefix):
                named[((self.label, text.removeprefix(self.prefix)),)] = value
        return named


@dataclass(slots=True)
class LostProcesses:
    """Processes of a kind that fell silent without having told that they end, until another one takes their place: 1
    for each, by its name, and 0 for a minute after.

    It has a memory, so one rule alone may read it, once a second. A process that starts stands in for the one that was
    lost first; so none is left when as many serve as did before. Where that was quicker than the silence was noticed,
    the lost one is told of once. One that told that it ends was stopped, and is missed by nobody.
    """

    kind: str
    _has_looked: bool = False
    _present: set[str] = field(default_factory=set)
    _ending: set[str] = field(default_factory=set)
    _lost: dict[str, int] = field(default_factory=dict)
    """The looks since each was lost, the first one first."""
    _well: dict[str, int] = field(default_factory=dict)
    """The looks since each was lost no more."""
    _started: list[int] = field(default_factory=list)
    """The looks since each process started that stands in for nobody yet."""

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:  # noqa: ARG002 - what is now has no span
        """Return those that are lost now, and those that were until lately."""
        present = self._of(windows, PROCESS_MEMORY)
        gone = self._present - present
        started = present - self._present if self._has_looked else set()
        self._has_looked = True
        # One that was only silent is not lost, and stands in for nobody.
        back = started & self._lost.keys()
        started -= back
        self._grow_old()
        for name in back:
            self._find(name)
        self._started += [0] * len(started)
        self._lost.update(dict.fromkeys(sorted(gone - self._ending), 0))
        self._ending = (self._ending | self._of(windows, PROCESS_ENDING)) & present
        self._present = present
        self._replace()
        told = {**dict.fromkeys(self._well, 0.0), **dict.fromkeys(self._lost, 1.0)}
        return {(("process", name),): value for name, value in told.items()}

    def _of(self, windows: Windows, name: str) -> set[str]:
        gauges = windows.gauges(select(name, process=f"{self.kind}-*"), ("process",), Merge.MAX)
        return {process for ((_, process),) in gauges}

    def _grow_old(self) -> None:
        self._lost = {name: looks + 1 for name, looks in self._lost.items() if looks < LOST_LOOKS_MAX}
        self._well = {name: looks + 1 for name, looks in self._well.items() if looks < _WELL_LOOKS}
        self._started = [looks + 1 for looks in self._started if looks < _REPLACED_BEFORE_LOOKS]

    def _replace(self) -> None:
        # Not those of this look: each is told of once, also where another stood ready.
        missed = [name for name, looks in self._lost.items() if looks > 0]
        for name in missed[: len(self._started)]:
            self._find(name)
            self._started.pop(0)

    def _find(self, name: str) -> None:
        """Take one that was lost for found: itself, or what stands in for it."""
        # Unless it was lost for so long that it is not missed any more.
        if self._lost.pop(name, None) is not None:
            self._well[name] = 0
