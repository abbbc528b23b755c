"""The statements that a server runs, with what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from actors.optimizer.catalog import Catalog, TableName
from actors.optimizer.plans import Plan
from actors.optimizer.shape import Shape


@dataclass(frozen=True, slots=True)
class Statement:
    """One entry of `pg_stat_statements`: a statement without its constants, and totals since its reset."""

    query_id: int
    text: str
    calls: int
    total_ms: float
    rows: int
    squares_ms2: float = 0.0
    """The sum of the squares of each call's time."""

    @property
    def mean_ms(self) -> float:
        """What a call takes."""
        return self.total_ms / self.calls if self.calls else 0.0

    @property
    def rows_per_call(self) -> float:
        """What a call returns or changes."""
        return self.rows / self.calls if self.calls else 0.0


def since(before: Mapping[int, Statement], now: Iterable[Statement]) -> list[Statement]:
    """Return what was done between two looks; of a statement whose counts were reset meanwhile, what was since."""
    done: list[Statement] = []
    for statement in now:
        earlier = before.get(statement.query_id)
        if earlier is None or earlier.calls > statement.calls:
            done.append(statement)
        elif statement.calls > earlier.calls:
            done.append(
                replace(
                    statement,
                    calls=statement.calls - earlier.calls,
                    total_ms=max(0.0, statement.total_ms - earlier.total_ms),
                    rows=statement.rows - earlier.rows,
                    squares_ms2=max(0.0, statement.squares_ms2 - earlier.squares_ms2),
                )
            )
    return done


def costliest(statements: Iterable[Statement], *, share: float = 0.99, limit: int = 50) -> list[Statement]:
    """Return the statements that together take a ``share`` of all the time, the costliest first, at most ``limit``."""
    ordered = sorted(statements, key=lambda each: each.total_ms, reverse=True)
    total = sum(each.total_ms for each in ordered)
    kept: list[Statement] = []
    covered = 0.0
    for statement in ordered[:limit]:
        if covered >= share * total:
            break
        kept.append(statement)
        covered += statement.total_ms
    return kept


def slowdown(before: Statement, after: Statement) -> tuple[float, float]:
    """Return by what share a call became slower, and the least that it did in 95 of 100 (Welch's interval)."""
    if before.calls < 2 or after.calls < 2 or before.mean_ms <= 0:
        return 0.0, -math.inf
    error = math.sqrt(_variance(before) / before.calls + _variance(after) / after.calls)
    difference = after.mean_ms - before.mean_ms
    return difference / before.mean_ms, (difference - 1.96 * error) / before.mean_ms


def _variance(statement: Statement) -> float:
    return max(0.0, statement.squares_ms2 / statement.calls - statement.mean_ms**2)


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that an index alone does not mend, or that waits for one."""

    kind: str
    query_id: int
    text: str


SCAN_ROWS_MIN = 10_000
SCAN_KEPT_MAX = 0.1
"""A sequential scan that keeps more of what it reads is the right way to read it."""
_N_PLUS_ONE_CALLS_MIN = 100
_N_PLUS_ONE_FACTOR = 5
_N_PLUS_ONE_TOLERANCE = 0.2


def scan_warnings(plans: Mapping[int, Plan]) -> list[Warning]:
    """Return the statements that read a large table to keep little of it."""
    found: list[Warning] = []
    for query_id, plan in plans.items():
        for scan in plan.scans:
            if scan.rows_read >= SCAN_ROWS_MIN and scan.rows_kept <= SCAN_KEPT_MAX * scan.rows_read:
                text = f"reads {scan.rows_read:,.0f} rows of {scan.table.name} to keep {scan.rows_kept:,.0f}"
                found.append(Warning("sequential_scan", query_id, text))
    return found


def n_plus_one_warnings(
    statements: Sequence[Statement], shapes: Mapping[int, Shape], catalog: Catalog
) -> list[Warning]:
    """Return the statements that seem to run once for each row of another one's result.

    A sign, no proof: a look-up by one column runs about as often as the other statement, whose table is joined to its
    own by a foreign key, returned rows.
    """
    reads = [each for each in statements if each.query_id in shapes and shapes[each.query_id].is_read]
    found: list[Warning] = []
    for child in reads:
        looked_up = _looked_up(shapes[child.query_id])
        if looked_up is None or child.calls < _N_PLUS_ONE_CALLS_MIN:
            continue
        for parent in reads:
            tables = {use.table for use in shapes[parent.query_id].uses}
            if looked_up in tables or child.calls < parent.calls * _N_PLUS_ONE_FACTOR:
                continue
            if abs(child.calls - parent.rows) > _N_PLUS_ONE_TOLERANCE * child.calls:
                continue
            if any(_are_related(looked_up, table, catalog) for table in tables):
                text = f"runs {child.calls:,} times, once for each row of statement {parent.query_id}; join them"
                found.append(Warning("n_plus_one", child.query_id, text))
                break
    return found


def _looked_up(shape: Shape) -> TableName | None:
    if len(shape.uses) != 1:
        return None
    use = shape.uses[0]
    is_look_up = len(use.equal) == 1 and not (use.any_of or use.ranges or use.joined)
    return use.table if is_look_up else None


def _are_related(one: TableName, other: TableName, catalog: Catalog) -> bool:
    tables = catalog.tables
    return any(target == other for _, target in tables[one].references) or any(
        target == one for _, target in tables[other].references
    )
