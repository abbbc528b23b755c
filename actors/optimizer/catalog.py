"""What the server's catalogue says of tables and their indexes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

NAME_PREFIX = "easypay_opt_"
"""Begins the name of every index that the optimizer makes."""
_NAME_MAX = 63


def quoted(name: str) -> str:
    """Return an identifier of SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


class TableName(NamedTuple):
    """A table with its schema."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The name as SQL takes it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


class Key(NamedTuple):
    """One column of an index."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """A B-tree index that there could be. ``predicate`` is SQL over the table's own columns, None: all rows."""

    table: TableName
    keys: tuple[Key, ...]
    include: tuple[str, ...] = ()
    predicate: str | None = None

    @property
    def name(self) -> str:
        """A name that only this index has; the same each time."""
        digest = blake2b(repr((self.keys, self.include, self.predicate)).encode(), digest_size=4).hexdigest()
        columns = "_".join(key.column for key in self.keys)
        stem = f"{NAME_PREFIX}{self.table.name}_{columns}".encode()[: _NAME_MAX - 9].decode(errors="ignore")
        return f"{stem}_{digest}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its keys, in order."""
        return tuple(key.column for key in self.keys)

    def definition(self) -> str:
        """Return what follows the name in ``CREATE INDEX``."""
        keys = ", ".join(quoted(key.column) + (" DESC" if key.descending else "") for key in self.keys)
        include = f" INCLUDE ({', '.join(map(quoted, self.include))})" if self.include else ""
        where = f" WHERE {self.predicate}" if self.predicate else ""
        return f"ON {self.table.sql} ({keys}){include}{where}"

    def ddl(self) -> str:
        """Return the statement that builds it without a lock against writers; not inside a transaction."""
        return f"CREATE INDEX CONCURRENTLY {quoted(self.name)} {self.definition()}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column with what the statistics say of it; ``distinct`` counts values, 0: not known."""

    name: str
    type: str
    width_bytes: int
    distinct: float


@dataclass(frozen=True, slots=True)
class Index:
    """An index that exists. ``keys`` is None where one of them is an expression or not a plain B-tree key."""

    oid: int
    table: TableName
    name: str
    keys: tuple[Key, ...] | None
    include: tuple[str, ...]
    predicate: str | None
    definition: str
    method: str
    size_bytes: int
    scans: int
    unique: bool = False
    constrains: bool = False
    """Whether a constraint, a foreign key of others or a replica identity stands on it."""
    valid: bool = True
    special: str = ""
    """Operator classes, collations and orders of nulls that are not the defaults; those of two equals are equal."""

    @property
    def is_ours(self) -> bool:
        """Whether the optimizer made it."""
        return self.name.startswith(NAME_PREFIX)

    @property
    def sql(self) -> str:
        """The name as SQL takes it."""
        return f"{quoted(self.table.schema)}.{quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its size, its columns and what was written to it since the statistics were reset."""

    oid: int
    name: TableName
    rows: float
    size_bytes: int
    columns: Mapping[str, Column]
    writes: int = 0
    inserts: int = 0
    updates: int = 0
    hot_updates: int = 0
    indexes: tuple[Index, ...] = ()
    is_partitioned: bool = False
    """No index can be built on it without a lock."""
    references: frozenset[tuple[str, TableName]] = field(default_factory=frozenset)
    """Its foreign keys of one column: the column, and the table that it points to."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables of a database, and the order in which names without a schema are looked up."""

    tables: Mapping[TableName, Table]
    search_path: tuple[str, ...] = ("public",)

    @classmethod
    def of(cls, tables: Iterable[Table], search_path: Iterable[str] = ("public",)) -> Catalog:
        """Return the catalogue of these tables."""
        return cls({table.name: table for table in tables}, tuple(search_path))

    def find(self, schema: str, name: str) -> Table | None:
        """Return a table by its name as a statement writes it, None where it is no table (a view, a function)."""
        if schema:
            return self.tables.get(TableName(schema, name))
        for each in self.search_path:
            found = self.tables.get(TableName(each, name))
            if found is not None:
                return found
        return None

    def indexes(self) -> list[Index]:
        """Return the indexes of all tables."""
        return [index for table in self.tables.values() for index in table.indexes]
