"""The counters of all pools, those that are gone included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from actors.pool.usage import Figures
from actors.runtime.histogram import Histogram

# A holder that lost its lease comes back under its name, with counters that go on.
KEEP_S = 60.0


class FiguresLedger:
    """Keep what each holder told last. What is not heard of for ``KEEP_S`` is added to that of the departed."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, Figures]] = {}
        self._departed = Figures()

    @property
    def departed(self) -> Figures:
        """The counters of those that are gone."""
        return self._departed

    def told(self, holder: str, figures: Figures, now: float) -> None:
        """Take what a holder tells."""
        self._told[holder] = now, figures

    def current(self, holders: frozenset[str], now: float) -> dict[str, Figures]:
        """Return the figures of all that were heard of; those that are no holders have nothing now but counters."""
        for holder, (told_at, figures) in list(self._told.items()):
            if holder not in holders and told_at + KEEP_S < now:
                self._departed = total((self._departed, figures))
                del self._told[holder]
        return {
            holder: figures if holder in holders else total((figures,)) for holder, (_, figures) in self._told.items()
        }


def total(many: Iterable[Figures]) -> Figures:
    """Add the counters of many; what they have now is left out."""
    wait = Histogram()
    statements: dict[str, Histogram] = {}
    closes: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    uses = connects = 0
    for figures in many:
        wait.add(figures.wait)
        for name, histogram in figures.statements.items():
            statements.setdefault(name, Histogram()).add(histogram)
        closes.update(figures.closes)
        refused.update(figures.refused)
        uses += figures.uses
        connects += figures.connects
    return Figures(
        uses=uses,
        wait=wait,
        statements=statements,
        connects=connects,
        closes=dict(closes),
        refused=dict(refused),
    )
