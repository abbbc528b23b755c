"""Watches what writes take once an index is kept: what was measured on a copy is held against the live server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from actors.optimizer.catalog import IndexSpec
from actors.optimizer.workload import Statement, slowdown
from actors.optimizer.write_cost import WriteStatement

CALLS_MIN = 100
_WATCHED_MAX = 200


@dataclass(slots=True)
class WriteWatch:
    """Knows what writes took in the round that kept an index, and compares the next round with it, once."""

    _before: dict[IndexSpec, dict[int, Statement]] = field(default_factory=dict)

    def note(self, spec: IndexSpec, writes: Iterable[WriteStatement]) -> None:
        """Remember what the writes to its table took without an index that is kept now."""
        self._before[spec] = {
            each.statement.query_id: each.statement for each in writes if each.write.table == spec.table
        }
        if len(self._before) > _WATCHED_MAX:
            del self._before[next(iter(self._before))]

    def slowed(self, writes: Iterable[WriteStatement], loss_max: float) -> list[tuple[IndexSpec, str]]:
        """Return the indexes since which a write takes more than ``loss_max`` longer, beyond noise, and how much.

        Each is judged once, by the first look after it was kept that has enough calls.
        """
        now = {each.statement.query_id: each.statement for each in writes}
        found: list[tuple[IndexSpec, str]] = []
        for spec, before in list(self._before.items()):
            pairs = [(one, now[query_id]) for query_id, one in before.items() if query_id in now]
            pairs = [pair for pair in pairs if min(pair[0].calls, pair[1].calls) >= CALLS_MIN]
            if not pairs and before:
                continue
            del self._before[spec]
            share, least = max((slowdown(*pair) for pair in pairs), key=lambda each: each[1], default=(0.0, 0.0))
            if least > loss_max:
                found.append((spec, f"a write takes {share:.1%} longer since (at least {least:.1%})"))
        return found
