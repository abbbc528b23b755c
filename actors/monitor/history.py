"""The last two minutes, second by second."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from actors.monitor.measures import scalar
from actors.monitor.rules import Rules
from actors.monitor.store import Store
from actors.monitor.views import Figures, Row, Second

SECONDS = 120
WINDOWS = {"1s": 1, "10s": 10, "1m": 60}


class History:
    """Keep the figures of each second, and the buckets of what is selected for the heat map."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._seconds: deque[Second] = deque(maxlen=SECONDS)

    def look(self, store: Store, at: datetime) -> None:
        """Take the second that is known last, which began at ``at``."""
        heat: tuple[tuple[float, int], ...] = ()
        if self._rules.heat is not None:
            heat = tuple(pair for each in store.recorded(self._rules.heat, 1, ()).values() for pair in each.buckets())
        self._seconds.append(Second(at, figures(self._rules, store, 1), heat))

    def seconds(self) -> tuple[Second, ...]:
        """Return all of them, the oldest first."""
        return tuple(self._seconds)


def figures(rules: Rules, store: Store, span_s: int) -> Figures:
    """Return every figure of a window."""
    return {figure.name: scalar(figure.measure, store, span_s) for figure in rules.figures}


def tables(rules: Rules, store: Store) -> dict[str, tuple[Row, ...]]:
    """Return every table, its rows sorted by their labels."""
    made: dict[str, tuple[Row, ...]] = {}
    for table in rules.tables:
        columns = {column.name: column.measure.read(store, table.window_s) for column in table.columns}
        keys = sorted({labels for read in columns.values() for labels in read})
        made[table.name] = tuple(Row(key, {name: read.get(key) for name, read in columns.items()}) for key in keys)
    return made
