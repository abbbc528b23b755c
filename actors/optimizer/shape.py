"""What a statement asks of each table: the filters, joins and orders that an index could serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from actors.optimizer.catalog import Key, TableName


class Role(Enum):
    """What a parameter stands for."""

    VALUE = auto()
    """A value of a column."""
    VALUES = auto()
    """An array of values of a column."""
    LIMIT = auto()
    OFFSET = auto()
    UNKNOWN = auto()


class Parameter(NamedTuple):
    """A parameter of a statement; table and column only where it is compared with one."""

    role: Role
    use: int = -1
    """Which of the statement's uses of tables it filters; values of one use come from one row."""
    column: str = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """A condition without a parameter, as SQL over the table's columns; ``column`` is the one that it is about."""

    column: str
    sql: str
    is_equality: bool


@dataclass(slots=True)
class TableUse:
    """How one statement uses one table, once."""

    table: TableName
    equal: list[str] = field(default_factory=list)
    """Compared with one value from outside of the table."""
    any_of: list[str] = field(default_factory=list)
    """Compared with some values."""
    joined: list[str] = field(default_factory=list)
    """Equal to a column of another table."""
    ranges: list[str] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    order: tuple[Key, ...] = ()
    """The whole order of the result, where it is by this table alone."""
    read: set[str] = field(default_factory=set)
    """Every column that is looked at."""
    reads_all: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A statement as the optimizer understands it."""

    is_read: bool
    """It only reads: no row is written or locked."""
    uses: tuple[TableUse, ...] = ()
    parameters: Mapping[int, Parameter] = field(default_factory=dict)
    functions: frozenset[str] = frozenset()
    """Names of all functions that it calls, as the catalogue has them, and some words that are none."""
    is_limited: bool = False
    reads_unknown: bool = False
    """It reads what is no table: a view, a foreign table, a function."""


@dataclass(frozen=True, slots=True)
class Write:
    """What a statement writes: an "insert", an "update" of these columns, or a "delete"."""

    table: TableName
    kind: str
    columns: frozenset[str] = frozenset()


class NotUnderstood(Exception):
    """The parser does not take the statement; nothing is said about it."""
