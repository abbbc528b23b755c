"""Finds indexes that cost writes and serve nobody: duplicates, prefixes of others, unused and invalid ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum

from actors.optimizer.candidates import same_condition
from actors.optimizer.catalog import Catalog, Index, Table

WRITES_MIN = 1000
"""So many rows must have been written before an index that nobody reads is called a burden."""
WRITES_PER_SCAN = 10_000
"""An index that is read less than once in so many written rows costs more than it gives."""


class Fault(Enum):
    """Why an index should go."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    REDUNDANT = "redundant"
    UNUSED = "unused"
    HARMFUL = "harmful"
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True)
class Burden:
    """An index that should go, and why. ``instead`` does its work, where another one does."""

    index: Index
    fault: Fault
    reason: str
    instead: str | None = None


def burdens(catalog: Catalog, *, used: AbstractSet[str], observed_s: float, observe_min_s: float) -> list[Burden]:
    """Return what should go, no index twice; never one that a constraint, a foreign key or a replica stands on.

    ``used`` are the names of indexes that plans of the workload use. An index is called unused only after the
    statistics have run for ``observe_min_s``.
    """
    found: list[Burden] = []
    for table in catalog.tables.values():
        gone: set[int] = set()
        for burden in _of_table(table, used, is_observed=observed_s >= observe_min_s):
            if burden.index.oid not in gone:
                gone.add(burden.index.oid)
                found.append(burden)
    return found


def leftovers(catalog: Catalog, kept: AbstractSet[str]) -> list[Burden]:
    """Return the optimizer's own indexes that it never decided to keep: a round was cut short while it tried them."""
    reason = "a round that was cut short left it"
    return [
        Burden(index, Fault.LEFTOVER, reason)
        for index in catalog.indexes()
        if index.is_ours and index.valid and not index.constrains and index.name not in kept
    ]


def _of_table(table: Table, used: AbstractSet[str], *, is_observed: bool) -> Iterator[Burden]:
    valid = [index for index in table.indexes if index.valid]
    for index in table.indexes:
        if not index.valid and not index.constrains:
            yield Burden(index, Fault.INVALID, "a build that failed left it; every write keeps it up all the same")
    gone: list[Index] = []
    # They take over the reads of what goes, whatever they were read for so far.
    stand_ins: set[str | None] = set()
    for index in sorted(valid, key=_least_wanted):
        if index.constrains or index.unique:
            continue
        others = [other for other in valid if other is not index and other not in gone]
        burden = _superfluous(index, others)
        if burden is not None:
            gone.append(index)
            stand_ins.add(burden.instead)
            yield burden
    if not is_observed:
        return
    for index in valid:
        if index in gone or index.constrains or index.unique or index.name in used | stand_ins:
            continue
        burden = _not_worth_it(index, table)
        if burden is not None:
            yield burden


def _least_wanted(index: Index) -> tuple[int, bool, int]:
    """Order indexes so that the shorter goes first, and of two equals our own, or the younger."""
    return (len(index.keys or ()), not index.is_ours, -index.oid)


def _superfluous(index: Index, others: Iterable[Index]) -> Burden | None:
    for other in others:
        if _same(index, other):
            return Burden(index, Fault.DUPLICATE, f"{other.name} is the same", other.name)
        if _is_prefix_of(index, other):
            return Burden(index, Fault.REDUNDANT, f"{other.name} begins with its columns", other.name)
    return None


def _same(one: Index, other: Index) -> bool:
    if one.keys is None or other.keys is None:
        # Expressions: equal where all that follows the name is.
        return _body(one) == _body(other)
    return (
        one.keys == other.keys
        and one.method == other.method
        and one.special == other.special
        and _same_predicate(one, other)
        and set(one.include) == set(other.include)
    )


def _is_prefix_of(short: Index, long: Index) -> bool:
    if short.keys is None or long.keys is None or {short.method, long.method} != {"btree"}:
        return False
    if short.special or long.special or not _same_predicate(short, long):
        return False
    covered = {*long.include, *(key.column for key in long.keys)}
    return long.keys[: len(short.keys)] == short.keys and set(short.include) <= covered


def _same_predicate(one: Index, other: Index) -> bool:
    if one.predicate is None or other.predicate is None:
        return one.predicate == other.predicate
    return same_condition(one.predicate, other.predicate)


def _body(index: Index) -> str:
    return index.definition.partition(" ON ")[2]


def _not_worth_it(index: Index, table: Table) -> Burden | None:
    if index.keys is not None and any(index.keys[0].column == column for column, _ in table.references):
        # A delete in the table that it points to looks here; rare as that is, it would read all of this one.
        return None
    if table.writes < WRITES_MIN or index.scans * WRITES_PER_SCAN > table.writes:
        return None
    cost = f"{table.writes:,} rows were written and it was read {index.scans:,} times"
    if index.scans == 0:
        return Burden(index, Fault.UNUSED, cost)
    return Burden(index, Fault.HARMFUL, cost)
