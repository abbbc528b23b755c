"""What the server's statistics say of a database. Sizes are bytes, ages of ids are transactions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Trigger:
    """When autovacuum does something: from ``base + share * rows`` changes on."""

    base: float
    share: float

    def of(self, rows: float) -> float:
        """Return the changes for a table of so many rows."""
        return self.base + self.share * rows


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """The settings of the server that its own vacuum goes by, and how old its oldest database is."""

    version: int
    vacuum: Trigger
    insert_vacuum: Trigger
    analyze: Trigger
    freeze_age_max: int
    multixact_freeze_age_max: int
    failsafe_age: int
    xid_age: int
    multixact_age: int


@dataclass(frozen=True, slots=True)
class TableFigures:
    """A table, or the parent of partitions, which has no rows of its own.

    ``rows`` is what the planner believes, below 0 where it was never told; ``partition_rows`` the sum of what it
    believes of the partitions. The triggers are those of the table itself, where it has some, else the server's.
    """

    name: str
    is_parent: bool
    rows: float
    heap_bytes: int
    index_bytes: int
    unfrozen_bytes: int
    """Pages that are not all visible: what a plain vacuum reads."""
    dead: int
    inserted: int
    """Since the last vacuum."""
    modified: int
    """Since the last analyze."""
    xid_age: int
    multixact_age: int
    analyzed_at: datetime | None
    vacuumed_at: datetime | None
    vacuum: Trigger
    insert_vacuum: Trigger
    analyze: Trigger
    is_in_work: bool = False
    """Somebody vacuums or analyzes it now."""
    partition_rows: float = 0.0


@dataclass(frozen=True, slots=True)
class IndexFigures:
    """An index. ``expected_bytes`` is what it would take anew, None where that cannot be told."""

    name: str
    table: str
    table_bytes: int
    bytes: int
    expected_bytes: int | None
    is_valid: bool
    is_in_work: bool

    @property
    def bloat(self) -> float:
        """The share of it that would be gone if it were built anew, at least 0."""
        if self.expected_bytes is None or not self.bytes:
            return 0.0
        return max(0.0, 1.0 - self.expected_bytes / self.bytes)


@dataclass(frozen=True, slots=True)
class PartitionFigures:
    """The days that a set of tables has partitions for: the newest that all parents have, and the oldest of any."""

    name: str
    newest: date | None
    oldest: date | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it."""

    now: datetime
    server: ServerFigures
    tables: tuple[TableFigures, ...]
    indexes: tuple[IndexFigures, ...]
    partitions: tuple[PartitionFigures, ...]
