"""What is worth doing, and what it may cost. Times are seconds, sizes bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PartitionSet:
    """Tables that are cut into days, kept by two functions of the database.

    ``make`` is a statement that takes the days ahead, ``drop`` one that takes the days of retention, drops the oldest
    day past them and returns its name, null where there is none.
    """

    name: str
    parents: tuple[str, ...]
    make: str
    drop: str
    retention_days: int
    ahead_days: int = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds. Those of rows are shares of what the server's own vacuum waits for.

    Ours comes before autovacuum where the database is quiet, so that it has nothing left to do in the rush; while the
    database is busy ours waits until autovacuum is well behind, for then it is switched off or does not keep up.
    """

    quiet_share: float = 0.5
    busy_share: float = 2.0
    rows_min: int = 1000
    """Fewer changes than this are nobody's trouble."""

    # Shares of autovacuum_freeze_max_age, at which it freezes in spite of everybody, and of vacuum_failsafe_age.
    freeze_quiet_share: float = 0.5
    freeze_busy_share: float = 0.9
    failsafe_share: float = 0.75

    # A B-tree that was filled at random is two thirds full, so a quarter of it seems too much. Half is bloat.
    bloat_min: float = 0.5
    bloat_growth: float = 0.2
    """By how much an index that was rebuilt has to be worse than right after it."""
    index_bytes_min: int = 8 * _MIB

    rest_s: float = 900.0
    """Between two vacuums, or two analyzes, of one table, unless it is urgent; four times that where the last did no
    good, such as while somebody holds the horizon."""
    reindex_rest_s: float = 86_400.0
    parent_rest_s: float = 86_400.0
    """A parent whose partitions come and go is analyzed at least so often."""

    step_bytes_max: int = 8192 * _MIB
    """What a step that is not urgent may read and write by the schedule; a larger one is done by hand."""
    run_bytes_max: int = 16_384 * _MIB
    run_steps_max: int = 20

    partitions: tuple[PartitionSet, ...] = field(default=())
    skipped: frozenset[str] = frozenset()
    """Tables, by name with schema, that nobody touches."""
